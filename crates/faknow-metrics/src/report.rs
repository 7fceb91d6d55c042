//! Everything there is to say about predictions, as a table for people and as data.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use unicode_width::UnicodeWidthStr;

use crate::{
    ClassScores, ConfusionMatrix, Error, Metrics, PrCurve, Predictions, ReliabilityBin, Result, RocCurve,
    Score, Scores, reliability_bins,
};

/// All built-in metrics of predictions, overall and per class, with the confusion matrix and the curves.
///
/// Displayed, it is a table for people, in which undefined values are said with their reason. Serialised, it is one
/// flat object: `n_samples`, `classes`, every metric by its name (null where it has no value), `precision_per_class`,
/// `recall_per_class`, `f1_per_class`, `support`, `roc_auc_per_class`, `average_precision_per_class`,
/// `confusion_matrix` (rows are true, columns predicted classes), and `undefined`, the reason for each metric that is
/// undefined, also where a customary value stands in for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassificationReport {
    predictions: Predictions,
    class_names: Vec<String>,
    scores: Scores,
    classes: Vec<ClassScores>,
}

impl ClassificationReport {
    /// Computes everything; `class_names` are in the order of the classes.
    ///
    /// # Errors
    /// There is not exactly one name per class.
    pub fn new(predictions: &Predictions, class_names: &[String]) -> Result<Self> {
        let (expected, got) = (predictions.n_classes(), class_names.len());
        if expected != got {
            return Err(Error::Length { what: "class names", expected, got });
        }
        Ok(Self {
            predictions: predictions.clone(),
            class_names: class_names.to_vec(),
            scores: Metrics::all().compute(predictions)?,
            classes: predictions.confusion().per_class(),
        })
    }

    /// Every built-in metric.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// The names of the classes, in order.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Precision, recall, F1 and support of each class, in order.
    pub fn classes(&self) -> &[ClassScores] {
        &self.classes
    }

    /// Counts by true and predicted class.
    pub fn confusion(&self) -> &ConfusionMatrix {
        self.predictions.confusion()
    }

    /// ROC-AUC of each class against the rest, in order.
    pub fn roc_auc_per_class(&self) -> Vec<Score> {
        (0..self.classes.len()).map(|class| self.predictions.ranking(class).roc_auc.clone()).collect()
    }

    /// Average precision of each class against the rest, in order.
    pub fn average_precision_per_class(&self) -> Vec<Score> {
        (0..self.classes.len()).map(|class| self.predictions.ranking(class).average_precision.clone()).collect()
    }

    /// The ROC curve of one class against the rest; has a point per distinct score, see [`RocCurve::thinned`].
    ///
    /// # Errors
    /// There is no such class, or the samples are not partly of it and partly of others.
    pub fn roc_curve(&self, class: usize) -> Result<RocCurve> {
        RocCurve::of_class(&self.predictions, class)
    }

    /// The precision-recall curve of one class against the rest; has a point per distinct score, see
    /// [`PrCurve::thinned`].
    ///
    /// # Errors
    /// There is no such class, or no sample is of it.
    pub fn pr_curve(&self, class: usize) -> Result<PrCurve> {
        PrCurve::of_class(&self.predictions, class)
    }

    /// Accuracy by confidence, in `n_bins` intervals of equal width.
    ///
    /// # Errors
    /// `n_bins` is 0, or the scores are no probabilities.
    pub fn reliability_bins(&self, n_bins: usize) -> Result<Vec<ReliabilityBin>> {
        reliability_bins(&self.predictions, n_bins)
    }
}

impl Serialize for ClassificationReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("n_samples", &self.predictions.n_samples())?;
        map.serialize_entry("classes", &self.class_names)?;
        for (name, score) in self.scores.iter() {
            map.serialize_entry(name, score)?;
        }
        let column = |value: fn(&ClassScores) -> &Score| self.classes.iter().map(value).collect::<Vec<_>>();
        map.serialize_entry("precision_per_class", &column(|class| &class.precision))?;
        map.serialize_entry("recall_per_class", &column(|class| &class.recall))?;
        map.serialize_entry("f1_per_class", &column(|class| &class.f1))?;
        map.serialize_entry("support", &self.confusion().support())?;
        map.serialize_entry("roc_auc_per_class", &self.roc_auc_per_class())?;
        map.serialize_entry("average_precision_per_class", &self.average_precision_per_class())?;
        map.serialize_entry("confusion_matrix", self.confusion())?;
        map.serialize_entry("undefined", &Reasons(&self.scores))?;
        map.end()
    }
}

/// The reasons of the undefined scores, by name.
struct Reasons<'a>(&'a Scores);

impl Serialize for Reasons<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|(name, score)| Some((name, score.reason()?))))
    }
}

/// Larger confusion matrices are left out of the table: they would not fit a screen.
const MAX_SHOWN_CLASSES: usize = 12;

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_classes(f)?;
        writeln!(f)?;
        self.write_scores(f)?;
        writeln!(f)?;
        self.write_confusion(f)
    }
}

impl ClassificationReport {
    /// One row per class, then the averages; `*` marks customary values of undefined ones.
    fn write_classes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let averages = ["macro", "weighted"];
        let names = self.class_names.iter().map(String::as_str).chain(["weighted average"]);
        let width = names.map(UnicodeWidthStr::width).max().unwrap_or_default();
        writeln!(f, "{}  precision     recall         f1    support", pad("", width))?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, scores: [Option<&Score>; 3], support: u64| {
            write!(f, "{}", pad(name, width))?;
            for score in scores {
                write!(f, " {:>10}", score.map_or_else(|| "-".to_owned(), cell))?;
            }
            writeln!(f, " {support:>10}")
        };
        for (name, class) in self.class_names.iter().zip(&self.classes) {
            let scores = [Some(&class.precision), Some(&class.recall), Some(&class.f1)];
            row(f, name, scores, class.support)?;
        }
        let n_samples = self.confusion().n_samples();
        for average in averages {
            let scores = ["precision", "recall", "f1"].map(|name| self.scores.get(&format!("{name}_{average}")));
            row(f, &format!("{average} average"), scores, n_samples)?;
        }
        let all = self.classes.iter().flat_map(|class| [&class.precision, &class.recall, &class.f1]);
        if all.clone().any(|score| !score.is_defined()) {
            writeln!(f, "* no value, by convention 0:")?;
            let mut told = Vec::new();
            for reason in all.filter_map(Score::reason) {
                if !told.contains(&reason) {
                    writeln!(f, "  {reason}")?;
                    told.push(reason);
                }
            }
        }
        Ok(())
    }

    /// The metrics that the rows above do not show.
    fn write_scores(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brier = if self.classes.len() == 2 { "brier_binary" } else { "brier_multiclass" };
        let names = [
            "accuracy",
            "balanced_accuracy",
            "precision",
            "recall",
            "f1",
            "roc_auc",
            "average_precision",
            "mcc",
            "cohen_kappa",
            "log_loss",
            brier,
            "ece_15",
        ];
        let width = names.iter().map(|name| name.len()).max().unwrap_or_default();
        for (name, score) in names.into_iter().filter_map(|name| Some((name, self.scores.get(name)?))) {
            write!(f, "{name:<width$} {:>10}", cell(score))?;
            match score.reason() {
                Some(reason) => writeln!(f, "  undefined: {reason}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }

    fn write_confusion(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_classes = self.classes.len();
        if n_classes > MAX_SHOWN_CLASSES {
            return writeln!(f, "confusion matrix: {n_classes} x {n_classes}, not shown");
        }
        writeln!(f, "confusion matrix (rows: true class, columns: predicted class)")?;
        let first = self.class_names.iter().map(|name| name.width()).max().unwrap_or_default();
        let digits = self.confusion().n_samples().to_string().len();
        let widths: Vec<usize> = self.class_names.iter().map(|name| name.width().max(digits)).collect();
        write!(f, "{}", pad("", first))?;
        for (name, width) in self.class_names.iter().zip(&widths) {
            write!(f, "  {}{name}", pad("", width - name.width()))?;
        }
        writeln!(f)?;
        for (name, row) in self.class_names.iter().zip(self.confusion().rows()) {
            write!(f, "{}", pad(name, first))?;
            for (count, width) in row.iter().zip(&widths) {
                write!(f, "  {count:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// `text` and as many spaces as make it `width` columns wide on screen (a Chinese character takes two).
fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Four decimals; `*` marks a customary value of an undefined score, `-` one that has none.
fn cell(score: &Score) -> String {
    match (score.value(), score.is_defined()) {
        (Some(value), true) => format!("{value:.4}"),
        (Some(value), false) => format!("{value:.4}*"),
        (None, _) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn report(names: &[&str], labels: &[usize], scores: &[f64]) -> ClassificationReport {
        let predictions = Predictions::new(names.len(), labels.to_vec(), scores.to_vec()).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        ClassificationReport::new(&predictions, &names).unwrap()
    }

    fn check(report: &ClassificationReport, expected: Expect) {
        expected.assert_eq(&report.to_string());
    }

    #[test]
    fn table_of_two_classes() {
        let scores = [0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.7, 0.3, 0.25, 0.75];
        check(&report(&["谣言", "real"], &[0, 1, 1, 0, 0], &scores), expect![[""]]);
    }

    #[test]
    fn table_with_undefined_values() {
        check(&report(&["a", "b", "never seen"], &[0, 0], &[0.5, 0.3, 0.2, 0.3, 0.5, 0.2]), expect![[""]]);
        check(&report(&["real", "fake"], &[], &[]), expect![[""]]);
        check(&report(&["real", "fake"], &[0, 1], &[3.0, -1.0, -2.0, 0.5]), expect![[""]]);
    }

    #[test]
    fn large_confusion_matrices_are_left_out() {
        let names: Vec<String> = (0..13).map(|i| format!("class {i}")).collect();
        let predictions = Predictions::new(13, vec![12], vec![1.0 / 13.0; 13]).unwrap();
        let text = ClassificationReport::new(&predictions, &names).unwrap().to_string();
        assert!(text.ends_with("\nconfusion matrix: 13 x 13, not shown\n"), "{text}");
    }

    #[test]
    fn json_is_one_flat_object() {
        let json = serde_json::to_string(&report(&["real", "fake"], &[0, 0], &[0.75, 0.25, 0.25, 0.75])).unwrap();
        expect![[""]].assert_eq(&json);
    }

    #[test]
    fn curves_and_bins_are_at_hand() {
        let report = report(&["real", "fake"], &[0, 1], &[0.75, 0.25, 0.25, 0.75]);
        assert_eq!(report.roc_curve(1).unwrap().area().unwrap(), 1.0);
        assert_eq!(report.pr_curve(0).unwrap().precision, [1.0, 1.0, 0.5]);
        assert_eq!(report.reliability_bins(4).unwrap()[2].n_samples, 2);
        assert_eq!(report.class_names(), ["real", "fake"]);
        assert_eq!(report.classes()[1].support, 1);
    }

    #[test]
    fn needs_a_name_per_class() {
        let predictions = Predictions::new(2, vec![], vec![]).unwrap();
        let error = ClassificationReport::new(&predictions, &["real".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "class names: expected 2 values, got 1");
    }
}
