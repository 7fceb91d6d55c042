//! The comparison of a detector with a simple model on the same samples.

use std::fmt;

use faknow_metrics::{Metrics, Predictions, Score, Scores, mcnemar};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use crate::format::{grouped, marked, p_value};
use crate::scores::MAIN_METRICS;
use crate::{Result, Run};

/// File name of [`Baseline`] in a run directory.
pub const BASELINE: &str = "baseline.json";

/// Largest p-value of a significant difference.
const LEVEL: f64 = 0.05;

/// The comparison of a detector with a simple model, trained on the same samples and evaluated on the same samples.
///
/// Displayed as a table and a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Name of the simple model.
    pub model: String,
    /// Name of the detector's model.
    pub detector: String,
    /// The samples of the evaluation.
    pub part: BaselinePart,
    /// Number of these samples.
    pub n_samples: usize,
    /// All metrics of the simple model.
    pub metrics: Scores,
    /// All metrics of the detector.
    pub detector_metrics: Scores,
    /// McNemar's test of the two.
    pub mcnemar: BaselineTest,
}

/// The samples on which a detector and a simple model are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaselinePart {
    /// The test samples.
    Test,
    /// The validation samples, if there are no test samples.
    Valid,
}

/// The result of McNemar's exact test of a detector and a simple model; see [`faknow_metrics::mcnemar`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BaselineTest {
    /// Number of samples that only the detector predicts correctly.
    pub n_only_detector_correct: u64,
    /// Number of samples that only the simple model predicts correctly.
    pub n_only_baseline_correct: u64,
    /// Two-sided p-value.
    pub p_value: f64,
}

impl Baseline {
    /// Compares the predictions of a detector with those of a simple model; both are given with the name of the model.
    ///
    /// # Errors
    /// The two differ in the number of samples or in labels.
    pub fn new(
        (detector, of_detector): (&str, &Predictions),
        (model, of_model): (&str, &Predictions),
        part: BaselinePart,
    ) -> Result<Self> {
        let test = mcnemar(of_detector, of_model)?;
        Ok(Self {
            model: model.to_owned(),
            detector: detector.to_owned(),
            part,
            n_samples: of_detector.n_samples(),
            metrics: Metrics::all().compute(of_model)?,
            detector_metrics: Metrics::all().compute(of_detector)?,
            mcnemar: BaselineTest {
                n_only_detector_correct: test.only_first,
                n_only_baseline_correct: test.only_second,
                p_value: test.p_value,
            },
        })
    }

    /// Returns whether the detector is better, in one sentence without a period: `textcnn does not beat the linear model
    /// (accuracy 0.9472 against 0.9481, McNemar p = 0.8100)`.
    pub fn verdict(&self) -> String {
        let Self { model, detector, mcnemar, .. } = self;
        let BaselineTest { n_only_detector_correct, n_only_baseline_correct, p_value: p } = *mcnemar;
        let is_significant = p <= LEVEL;
        let (verdict, more) = match n_only_detector_correct.cmp(&n_only_baseline_correct) {
            std::cmp::Ordering::Greater if is_significant => ("beats", ""),
            std::cmp::Ordering::Greater => ("does not beat", ": the difference is not significant"),
            std::cmp::Ordering::Less if is_significant => ("is worse than", ""),
            _ => ("does not beat", ""),
        };
        let accuracy = |scores: &Scores| scores.value("accuracy").unwrap_or(f64::NAN);
        let (of_detector, of_model) = (accuracy(&self.detector_metrics), accuracy(&self.metrics));
        let p = match p_value(p) {
            p if p.starts_with('<') => p,
            p => format!("= {p}"),
        };
        format!(
            "{detector} {verdict} the {model} model{more} (accuracy {of_detector:.4} against {of_model:.4}, McNemar p {p})"
        )
    }

    /// Returns the main metrics with the scores of the detector and of the simple model.
    fn rows(&self) -> impl Iterator<Item = (&'static str, &Score, &Score)> {
        let row = |name| Some((name, self.detector_metrics.get(name)?, self.metrics.get(name)?));
        let rows = MAIN_METRICS.into_iter().filter_map(row);
        rows.filter(|(_, detector, model)| detector.value().is_some() && model.value().is_some())
    }
}

impl fmt::Display for BaselinePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::Valid => "validation",
        })
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, detector, part, n_samples, .. } = self;
        writeln!(f, "Baseline ({model}, {n_samples} {part} samples)\n")?;
        let name_width = MAIN_METRICS.iter().map(|name| name.len()).max().unwrap_or_default();
        let [first, second] = [detector, model].map(|name| name.chars().count().max(9));
        writeln!(f, "{:<name_width$}  {detector:>first$}  {model:>second$}", "")?;
        for (name, of_detector, of_model) in self.rows() {
            let (of_detector, of_model) = (marked(of_detector), marked(of_model));
            writeln!(f, "{name:<name_width$}  {of_detector:>first$}  {of_model:>second$}")?;
        }
        write!(f, "\n{}", self.verdict())
    }
}

/// Renders the comparison of a run, if it has one.
pub(crate) fn render(run: &Run) -> Markup {
    let Some(baseline) = &run.baseline else { return html! {} };
    let Baseline { model, detector, part, n_samples, mcnemar, .. } = baseline;
    html! {
        section {
            h3 { "Baseline" }
            p { strong { (baseline.verdict()) "." } }
            div.scroll tabindex="0" { table {
                thead { tr { th { "metric" } th.n { (detector) } th.n { (model) } } }
                tbody {
                    @for (name, of_detector, of_model) in baseline.rows() {
                        tr { th { (name) } td.n { (marked(of_detector)) } td.n { (marked(of_model)) } }
                    }
                }
            } }
            p.small {
                "The model " code { (model) } " with its default settings, trained on the same samples. Of the " (grouped(*n_samples as u64)) " "
                (part) " samples, only " (detector) " predicts " (grouped(mcnemar.n_only_detector_correct)) " correctly, and only " (model) " "
                (grouped(mcnemar.n_only_baseline_correct)) "; two-sided exact McNemar test, significant up to p = " (LEVEL) "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Returns 100 predictions, of which those in `start..start + n_correct` are correct.
    fn predictions(start: usize, n_correct: usize) -> Predictions {
        let labels: Vec<usize> = (0..100).map(|row| row % 2).collect();
        let score = |row: usize| {
            let is_correct = (start..start + n_correct).contains(&row);
            if (labels[row] == 1) == is_correct { [0.2, 0.8] } else { [0.8, 0.2] }
        };
        Predictions::new(2, labels.clone(), (0..100).flat_map(score).collect()).unwrap()
    }

    fn baseline(detector: &Predictions, model: &Predictions) -> Baseline {
        Baseline::new(("textcnn", detector), ("linear", model), BaselinePart::Test).unwrap()
    }

    #[test]
    fn verdict_is_by_accuracy_and_significance() {
        let check = |detector: (usize, usize), model: (usize, usize), expected: &str| {
            let (detector, model) = (predictions(detector.0, detector.1), predictions(model.0, model.1));
            assert_eq!(baseline(&detector, &model).verdict(), expected);
        };
        check(
            (0, 90),
            (0, 60),
            "textcnn beats the linear model (accuracy 0.9000 against 0.6000, McNemar p < 0.0001)",
        );
        check(
            (0, 90),
            (20, 80),
            "textcnn does not beat the linear model: the difference is not significant (accuracy 0.9000 against 0.8000, \
             McNemar p = 0.0987)",
        );
        check(
            (0, 80),
            (20, 80),
            "textcnn does not beat the linear model (accuracy 0.8000 against 0.8000, McNemar p = 1.0000)",
        );
        check(
            (0, 80),
            (0, 81),
            "textcnn does not beat the linear model (accuracy 0.8000 against 0.8100, McNemar p = 1.0000)",
        );
        check(
            (0, 70),
            (0, 90),
            "textcnn is worse than the linear model (accuracy 0.7000 against 0.9000, McNemar p < 0.0001)",
        );
        let other = predictions(0, 1).select(&[0, 1]).unwrap();
        let compared =
            Baseline::new(("a", &predictions(0, 1)), ("linear", &other), BaselinePart::Test).map(drop);
        assert!(compared.unwrap_err().to_string().contains("samples"));
    }

    #[test]
    fn displays_main_metrics_side_by_side() {
        let baseline = baseline(&predictions(0, 80), &predictions(10, 80));
        expect![[r#"
            Baseline (linear, 100 test samples)

                                 textcnn     linear
            accuracy              0.8000     0.8000
            balanced_accuracy     0.8000     0.8000
            precision             0.8000     0.8000
            recall                0.8000     0.8000
            f1                    0.8000     0.8000
            f1_macro              0.8000     0.8000
            roc_auc               0.8000     0.8000
            average_precision     0.7400     0.7400
            mcc                   0.6000     0.6000

            textcnn does not beat the linear model (accuracy 0.8000 against 0.8000, McNemar p = 1.0000)"#]]
        .assert_eq(&baseline.to_string());
    }

    #[test]
    fn serializes_metrics_and_test() {
        let baseline = baseline(&predictions(0, 80), &predictions(10, 80));
        let json = serde_json::to_value(&baseline).unwrap();
        let test = serde_json::json!({ "n_only_detector_correct": 10, "n_only_baseline_correct": 10, "p_value": 1.0 });
        assert_eq!(
            (&json["model"], &json["part"], &json["mcnemar"]),
            (&"linear".into(), &"test".into(), &test)
        );
        assert_eq!(
            (&json["metrics"]["accuracy"], &json["detector_metrics"]["f1"]),
            (&0.8.into(), &0.8.into())
        );
        let read: Baseline = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), json);
    }
}
