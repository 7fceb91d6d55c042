//! The classification report: all metrics as a table and as data.

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
/// Displayed as a table, with the reasons of undefined values. Serialized as one flat object: `n_samples`, `classes`, every
/// metric by name (null without a value), `precision_per_class`, `recall_per_class`, `f1_per_class`, `support`,
/// `roc_auc_per_class`, `average_precision_per_class`, `confusion_matrix` (rows: true classes, columns: predicted classes),
/// and `undefined`, the reason of each undefined metric, including those with a conventional value.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassificationReport {
    predictions: Predictions,
    class_names: Vec<String>,
    scores: Scores,
    classes: Vec<ClassScores>,
}

impl ClassificationReport {
    /// Computes the report; `class_names` are in class order.
    ///
    /// # Errors
    /// The number of names is not the number of classes.
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

    /// Returns all built-in metrics.
    pub fn scores(&self) -> &Scores {
        &self.scores
    }

    /// Returns the class names, in order.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Returns precision, recall, F1 and support of each class, in order.
    pub fn classes(&self) -> &[ClassScores] {
        &self.classes
    }

    /// Returns the confusion matrix.
    pub fn confusion(&self) -> &ConfusionMatrix {
        self.predictions.confusion()
    }

    /// Returns the ROC-AUC of each class against the rest, in order.
    pub fn roc_auc_per_class(&self) -> Vec<Score> {
        (0..self.classes.len()).map(|class| self.predictions.ranking(class).roc_auc.clone()).collect()
    }

    /// Returns the average precision of each class against the rest, in order.
    pub fn average_precision_per_class(&self) -> Vec<Score> {
        (0..self.classes.len())
            .map(|class| self.predictions.ranking(class).average_precision.clone())
            .collect()
    }

    /// Computes the ROC curve of `class` against the rest, with one point per distinct score, see [`RocCurve::downsample`].
    ///
    /// # Errors
    /// `class` is out of range, or not both samples of it and of other classes occur.
    pub fn roc_curve(&self, class: usize) -> Result<RocCurve> {
        RocCurve::for_class(&self.predictions, class)
    }

    /// Computes the precision-recall curve of `class` against the rest, with one point per distinct score, see
    /// [`PrCurve::downsample`].
    ///
    /// # Errors
    /// `class` is out of range or does not occur in the labels.
    pub fn pr_curve(&self, class: usize) -> Result<PrCurve> {
        PrCurve::for_class(&self.predictions, class)
    }

    /// Returns accuracy by confidence in `n_bins` bins of equal width.
    ///
    /// # Errors
    /// `n_bins` is 0, or the scores are not probabilities.
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

/// The reasons of undefined scores, by name.
struct Reasons<'a>(&'a Scores);

impl Serialize for Reasons<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|(name, score)| Some((name, score.reason()?))))
    }
}

/// Most classes for which the table has the confusion matrix and complete lists, as fits a screen.
const MAX_DISPLAYED_CLASSES: usize = 12;

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
    /// Writes one row per class, then the averages; `*` marks conventional values of undefined scores.
    fn write_classes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let averages = ["macro", "weighted"];
        let names = self.class_names.iter().map(String::as_str).chain(["weighted average"]);
        let width = names.map(UnicodeWidthStr::width).max().unwrap_or_default();
        writeln!(f, "{}  precision      recall          f1     support", pad("", width))?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, scores: [Option<&Score>; 3], support: u64| {
            write!(f, "{}", pad(name, width))?;
            for score in scores {
                write!(f, " {:>11}", score.map_or_else(|| "- ".to_owned(), cell))?;
            }
            writeln!(f, " {support:>10}")
        };
        for (name, class) in self.class_names.iter().zip(&self.classes) {
            let scores = [Some(&class.precision), Some(&class.recall), Some(&class.f1)];
            row(f, name, scores, class.support)?;
        }
        let n_samples = self.confusion().n_samples();
        for average in averages {
            let scores =
                ["precision", "recall", "f1"].map(|name| self.scores.get(&format!("{name}_{average}")));
            row(f, &format!("{average} average"), scores, n_samples)?;
        }
        self.write_reasons(f)
    }

    /// Writes why values of classes are undefined, one line per class.
    fn write_reasons(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.class_names.iter().zip(&self.classes).filter_map(|(name, class)| {
            let mut reasons: Vec<_> =
                [&class.precision, &class.recall, &class.f1].into_iter().filter_map(Score::reason).collect();
            reasons.dedup();
            (!reasons.is_empty()).then(|| format!("{name}: {}", reasons.join("; ")))
        });
        let displayed: Vec<String> = lines.by_ref().take(MAX_DISPLAYED_CLASSES).collect();
        if displayed.is_empty() {
            return Ok(());
        }
        writeln!(f, "undefined (*: 0 by convention, -: no value)")?;
        for line in displayed {
            writeln!(f, "  {line}")?;
        }
        match lines.count() {
            0 => Ok(()),
            n_more => writeln!(f, "  … and {n_more} more"),
        }
    }

    /// Writes the metrics that are not in the table of classes.
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
            let line = format!("{name:<width$} {:>10}", cell(score));
            match score.reason() {
                Some(reason) => writeln!(f, "{line} undefined: {reason}")?,
                None => writeln!(f, "{}", line.trim_end())?,
            }
        }
        Ok(())
    }

    fn write_confusion(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_classes = self.classes.len();
        if n_classes > MAX_DISPLAYED_CLASSES {
            return writeln!(f, "confusion matrix: {n_classes} x {n_classes}, not shown");
        }
        writeln!(f, "confusion matrix (rows: true class, columns: predicted class)")?;
        let name_width = self.class_names.iter().map(|name| name.width()).max().unwrap_or_default();
        let digits = self.confusion().n_samples().to_string().len();
        let widths: Vec<usize> = self.class_names.iter().map(|name| name.width().max(digits)).collect();
        write!(f, "{}", pad("", name_width))?;
        for (name, width) in self.class_names.iter().zip(&widths) {
            write!(f, "  {}{name}", pad("", width - name.width()))?;
        }
        writeln!(f)?;
        for (name, row) in self.class_names.iter().zip(self.confusion().rows()) {
            write!(f, "{}", pad(name, name_width))?;
            for (count, width) in row.iter().zip(&widths) {
                write!(f, "  {count:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Pads `text` with spaces to `width` terminal columns (a Chinese character takes two).
fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Formats a score with four decimals and a column for the mark: `*` for the conventional value of an undefined score; `-` for
/// no value.
fn cell(score: &Score) -> String {
    match (score.value(), score.is_defined()) {
        (Some(value), true) => format!("{value:.4} "),
        (Some(value), false) => format!("{value:.4}*"),
        (None, _) => "- ".to_owned(),
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
    fn displays_two_classes() {
        let scores = [0.9, 0.1, 0.2, 0.8, 0.6, 0.4, 0.7, 0.3, 0.25, 0.75];
        check(
            &report(&["谣言", "real"], &[0, 1, 1, 0, 0], &scores),
            expect![[r#"
                                  precision      recall          f1     support
                谣言                 0.6667      0.6667      0.6667           3
                real                 0.5000      0.5000      0.5000           2
                macro average        0.5833      0.5833      0.5833           5
                weighted average     0.6000      0.6000      0.6000           5

                accuracy             0.6000
                balanced_accuracy    0.5833
                precision            0.5000
                recall               0.5000
                f1                   0.5000
                roc_auc              0.8333
                average_precision    0.8333
                mcc                  0.1667
                cohen_kappa          0.1667
                log_loss             0.5976
                brier_binary         0.2125
                ece_15               0.3100

                confusion matrix (rows: true class, columns: predicted class)
                      谣言  real
                谣言     2     1
                real     1     1
            "#]],
        );
    }

    #[test]
    fn displays_reasons_of_undefined_values() {
        check(
            &report(&["a", "b", "never seen"], &[0, 0], &[0.5, 0.3, 0.2, 0.3, 0.5, 0.2]),
            expect![[r#"
                                  precision      recall          f1     support
                a                    1.0000      0.5000      0.6667           2
                b                    0.0000      0.0000*     0.0000           0
                never seen           0.0000*     0.0000*     0.0000*          0
                macro average        0.3333*     0.1667*     0.2222*          2
                weighted average     1.0000      0.5000      0.6667           2
                undefined (*: 0 by convention, -: no value)
                  b: class 1 does not occur in the labels
                  never seen: class 2 is never predicted; class 2 does not occur in the labels; class 2 neither occurs nor is predicted

                accuracy             0.5000
                balanced_accuracy    0.5000
                precision            0.3333* undefined: class 2 is never predicted
                recall               0.1667* undefined: class 1 does not occur in the labels, and likewise for 1 more class
                f1                   0.2222* undefined: class 2 neither occurs nor is predicted
                roc_auc                   -  undefined: all labels are of class 0, and likewise for 2 more classes
                average_precision    0.3333* undefined: class 1 does not occur in the labels, and likewise for 1 more class
                mcc                  0.0000* undefined: all labels are of one class
                cohen_kappa          0.0000
                log_loss             0.9486
                brier_multiclass     0.5800
                ece_15               0.0000

                confusion matrix (rows: true class, columns: predicted class)
                            a  b  never seen
                a           1  1           0
                b           0  0           0
                never seen  0  0           0
            "#]],
        );
        check(
            &report(&["real", "fake"], &[], &[]),
            expect![[r#"
                                  precision      recall          f1     support
                real                      -           -           -           0
                fake                      -           -           -           0
                macro average             -           -           -           0
                weighted average          -           -           -           0
                undefined (*: 0 by convention, -: no value)
                  real: there are no samples
                  fake: there are no samples

                accuracy                  -  undefined: there are no samples
                balanced_accuracy         -  undefined: there are no samples
                precision                 -  undefined: there are no samples
                recall                    -  undefined: there are no samples
                f1                        -  undefined: there are no samples
                roc_auc                   -  undefined: there are no samples
                average_precision         -  undefined: there are no samples
                mcc                       -  undefined: there are no samples
                cohen_kappa               -  undefined: there are no samples
                log_loss                  -  undefined: there are no samples
                brier_binary              -  undefined: there are no samples
                ece_15                    -  undefined: there are no samples

                confusion matrix (rows: true class, columns: predicted class)
                      real  fake
                real     0     0
                fake     0     0
            "#]],
        );
        check(
            &report(&["real", "fake"], &[0, 1], &[3.0, -1.0, -2.0, 0.5]),
            expect![[r#"
                                  precision      recall          f1     support
                real                 1.0000      1.0000      1.0000           1
                fake                 1.0000      1.0000      1.0000           1
                macro average        1.0000      1.0000      1.0000           2
                weighted average     1.0000      1.0000      1.0000           2

                accuracy             1.0000
                balanced_accuracy    1.0000
                precision            1.0000
                recall               1.0000
                f1                   1.0000
                roc_auc              1.0000
                average_precision    1.0000
                mcc                  1.0000
                cohen_kappa          1.0000
                log_loss                  -  undefined: the scores of sample 0 are not probabilities (they sum to 2.000000)
                brier_binary              -  undefined: the scores of sample 0 are not probabilities (they sum to 2.000000)
                ece_15                    -  undefined: the scores of sample 0 are not probabilities (they sum to 2.000000)

                confusion matrix (rows: true class, columns: predicted class)
                      real  fake
                real     1     0
                fake     0     1
            "#]],
        );
    }

    #[test]
    fn display_omits_large_confusion_matrices() {
        let names: Vec<String> = (0..13).map(|i| format!("class {i}")).collect();
        let predictions = Predictions::new(13, vec![12], vec![1.0 / 13.0; 13]).unwrap();
        let text = ClassificationReport::new(&predictions, &names).unwrap().to_string();
        assert!(text.ends_with("\nconfusion matrix: 13 x 13, not shown\n"), "{text}");
        assert!(text.contains("\n  class 11: class 11 is never predicted; "), "{text}");
        assert!(text.contains("\n  … and 1 more\n"), "{text}");
    }

    #[test]
    fn serializes_as_flat_object() {
        let json =
            serde_json::to_string(&report(&["real", "fake"], &[0, 0], &[0.75, 0.25, 0.25, 0.75])).unwrap();
        expect![[r#"{"n_samples":2,"classes":["real","fake"],"accuracy":0.5,"precision":0.0,"recall":0.0,"f1":0.0,"balanced_accuracy":0.5,"precision_binary":0.0,"recall_binary":0.0,"f1_binary":0.0,"precision_macro":0.5,"recall_macro":0.25,"f1_macro":0.3333333333333333,"precision_macro_present":0.5,"recall_macro_present":0.25,"f1_macro_present":0.3333333333333333,"precision_micro":0.5,"recall_micro":0.5,"f1_micro":0.5,"precision_weighted":1.0,"recall_weighted":0.5,"f1_weighted":0.6666666666666666,"roc_auc":null,"average_precision":0.0,"mcc":0.0,"cohen_kappa":0.0,"log_loss":0.8369882167858358,"brier_binary":0.3125,"brier_multiclass":0.625,"ece_15":0.25,"auc_hard":null,"precision_per_class":[1.0,0.0],"recall_per_class":[0.5,0.0],"f1_per_class":[0.6666666666666666,0.0],"support":[2,0],"roc_auc_per_class":[null,null],"average_precision_per_class":[1.0,0.0],"confusion_matrix":[[1,1],[0,0]],"undefined":{"recall":"class 1 does not occur in the labels","recall_binary":"class 1 does not occur in the labels","recall_macro":"class 1 does not occur in the labels","recall_macro_present":"class 1 does not occur in the labels","roc_auc":"class 1 does not occur in the labels","average_precision":"class 1 does not occur in the labels","mcc":"all labels are of one class","auc_hard":"class 1 does not occur in the labels"}}"#]].assert_eq(&json);
    }

    #[test]
    fn provides_curves_and_bins() {
        let report = report(&["real", "fake"], &[0, 1], &[0.75, 0.25, 0.25, 0.75]);
        assert_eq!(report.roc_curve(1).unwrap().area().unwrap(), 1.0);
        assert_eq!(report.pr_curve(0).unwrap().precision, [1.0, 1.0, 0.5]);
        assert_eq!(report.reliability_bins(4).unwrap()[2].n_samples, 2);
        assert_eq!(report.class_names(), ["real", "fake"]);
        assert_eq!(report.classes()[1].support, 1);
    }

    #[test]
    fn new_rejects_wrong_number_of_names() {
        let predictions = Predictions::new(2, vec![], vec![]).unwrap();
        let error = ClassificationReport::new(&predictions, &["real".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "class names: expected 2 values, got 1");
    }
}
