//! Confusion matrices, and the metrics computed from them.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::{Error, Result, Score};

pub(crate) const NO_SAMPLES: &str = "there are no samples";

/// Counts of samples by true class (rows) and predicted class (columns).
///
/// Serialized as a list of rows. Precision, recall and F1 are in [`Averaging`](crate::Averaging) and
/// [`per_class`](Self::per_class).
///
/// ```
/// use faknow_metrics::ConfusionMatrix;
///
/// let confusion = ConfusionMatrix::new(2, &[0, 1, 1], &[0, 1, 0])?;
/// assert_eq!(confusion.get(1, 0), 1);
/// assert_eq!(confusion.accuracy().value(), Some(2.0 / 3.0));
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    n_classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Counts the pairs of true and predicted class.
    ///
    /// # Errors
    /// The lists differ in length, a class is not in `0..n_classes`, or there are fewer than two classes.
    pub fn new(n_classes: usize, labels: &[usize], predicted: &[usize]) -> Result<Self> {
        if n_classes < 2 {
            return Err(Error::TooFewClasses { n_classes });
        }
        if labels.len() != predicted.len() {
            return Err(Error::Length {
                what: "predicted classes",
                expected: labels.len(),
                got: predicted.len(),
            });
        }
        for list in [labels, predicted] {
            if let Some(sample) = list.iter().position(|&class| class >= n_classes) {
                return Err(Error::LabelOutsideClasses { sample, label: list[sample] as i128, n_classes });
            }
        }
        Ok(Self::count(n_classes, labels.iter().zip(predicted)))
    }

    /// Counts pairs of true and predicted class, which must be in range.
    pub(crate) fn count<'a>(n_classes: usize, pairs: impl Iterator<Item = (&'a usize, &'a usize)>) -> Self {
        let mut counts = vec![0; n_classes * n_classes];
        for (label, predicted) in pairs {
            counts[label * n_classes + predicted] += 1;
        }
        Self { n_classes, counts }
    }

    /// Returns the number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Returns the number of samples of class `label` predicted as `predicted`; 0 if a class is out of range.
    pub fn get(&self, label: usize, predicted: usize) -> u64 {
        if label < self.n_classes && predicted < self.n_classes {
            self.counts[label * self.n_classes + predicted]
        } else {
            0
        }
    }

    /// Returns the rows, one per true class: `[n_classes]` counts by predicted class each.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.n_classes)
    }

    /// Returns the number of samples.
    pub fn n_samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the number of correct predictions.
    pub fn n_correct(&self) -> u64 {
        self.counts.iter().step_by(self.n_classes + 1).sum()
    }

    /// Returns the number of samples of each class, `[n_classes]`.
    pub fn support(&self) -> Vec<u64> {
        self.rows().map(|row| row.iter().sum()).collect()
    }

    /// Returns the number of predictions of each class, `[n_classes]`.
    pub fn predicted(&self) -> Vec<u64> {
        let mut sums = vec![0; self.n_classes];
        for row in self.rows() {
            for (sum, count) in sums.iter_mut().zip(row) {
                *sum += count;
            }
        }
        sums
    }

    /// Returns the fraction of correct predictions.
    pub fn accuracy(&self) -> Score {
        match self.n_samples() {
            0 => Score::undefined(NO_SAMPLES),
            n => Score::Defined(self.n_correct() as f64 / n as f64),
        }
    }

    /// Returns the mean recall over the classes that occur in the labels.
    pub fn balanced_accuracy(&self) -> Score {
        let recalls: Vec<f64> = self
            .support()
            .into_iter()
            .enumerate()
            .filter(|(_, support)| *support > 0)
            .map(|(class, support)| self.get(class, class) as f64 / support as f64)
            .collect();
        if recalls.is_empty() {
            return Score::undefined(NO_SAMPLES);
        }
        Score::Defined(recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    /// Computes the Matthews correlation coefficient for any number of classes (Gorodkin 2004), in `[-1, 1]`.
    ///
    /// Undefined, by convention 0, if all labels or all predictions are of one class.
    pub fn mcc(&self) -> Score {
        let counts = self.agreement();
        if counts.total == 0 {
            return Score::undefined(NO_SAMPLES);
        }
        let square = counts.total * counts.total;
        let (predicted_variance, label_variance) =
            (square - counts.predicted_squared, square - counts.support_squared);
        if label_variance == 0 {
            return Score::undefined_or("all labels are of one class", 0.0);
        }
        if predicted_variance == 0 {
            return Score::undefined_or("all predictions are of one class", 0.0);
        }
        let covariance = (counts.correct * counts.total - counts.chance) as f64;
        // One root of the product, so perfect agreement is exactly 1.
        Score::Defined(covariance / (predicted_variance as f64 * label_variance as f64).sqrt())
    }

    /// Computes Cohen's kappa (unweighted): agreement beyond chance, at most 1.
    ///
    /// Undefined if all labels and all predictions are of the same class.
    pub fn cohen_kappa(&self) -> Score {
        let counts = self.agreement();
        if counts.total == 0 {
            return Score::undefined(NO_SAMPLES);
        }
        let denominator = counts.total * counts.total - counts.chance;
        if denominator == 0 {
            return Score::undefined("all labels and all predictions are of one class");
        }
        Score::Defined((counts.correct * counts.total - counts.chance) as f64 / denominator as f64)
    }

    /// Computes the ROC-AUC of the predicted classes instead of the scores, for two classes.
    ///
    /// FaKnow reports this as `auc`. It does not measure ranking (it is the mean of both recalls); use it only to compare
    /// with FaKnow.
    pub fn auc_hard(&self) -> Score {
        if self.n_classes != 2 {
            return Score::undefined(needs_two_classes(self.n_classes));
        }
        match self.support().iter().position(|support| *support == 0) {
            None => self.balanced_accuracy(),
            Some(_) if self.n_samples() == 0 => Score::undefined(NO_SAMPLES),
            Some(class) => Score::undefined(absent(class)),
        }
    }

    /// Returns the terms of MCC and kappa, exact: squares of counts exceed the precision of `f64`.
    fn agreement(&self) -> Agreement {
        let (support, predicted) = (self.support(), self.predicted());
        let dot = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(&a, &b)| i128::from(a) * i128::from(b)).sum();
        Agreement {
            total: i128::from(self.n_samples()),
            correct: i128::from(self.n_correct()),
            chance: dot(&support, &predicted),
            support_squared: dot(&support, &support),
            predicted_squared: dot(&predicted, &predicted),
        }
    }
}

/// The terms of MCC and kappa.
struct Agreement {
    total: i128,
    correct: i128,
    chance: i128,
    support_squared: i128,
    predicted_squared: i128,
}

impl Serialize for ConfusionMatrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.n_classes))?;
        for row in self.rows() {
            rows.serialize_element(row)?;
        }
        rows.end()
    }
}

/// Returns the reason why a two-class metric is undefined.
pub(crate) fn needs_two_classes(n_classes: usize) -> String {
    format!("expected 2 classes, got {n_classes}")
}

/// Returns the reason why a metric that needs samples of `class` is undefined.
pub(crate) fn absent(class: usize) -> String {
    format!("class {class} does not occur in the labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(n_classes: usize, labels: &[usize], predicted: &[usize]) -> ConfusionMatrix {
        ConfusionMatrix::new(n_classes, labels, predicted).unwrap()
    }

    #[test]
    fn counts_rows_columns_and_totals() {
        let m = matrix(3, &[0, 0, 1, 2, 2, 2], &[0, 1, 1, 2, 0, 2]);
        let rows: Vec<&[u64]> = m.rows().collect();
        assert_eq!(rows, [[1, 1, 0], [0, 1, 0], [1, 0, 2]]);
        assert_eq!((m.n_samples(), m.n_correct()), (6, 4));
        assert_eq!((m.support(), m.predicted()), (vec![2, 1, 3], vec![2, 2, 2]));
        assert_eq!((m.get(2, 0), m.get(0, 2), m.get(3, 0)), (1, 0, 0));
        assert_eq!(serde_json::to_string(&m).unwrap(), "[[1,1,0],[0,1,0],[1,0,2]]");
    }

    #[test]
    fn new_rejects_invalid_input() {
        let check = |n_classes, labels: &[usize], predicted: &[usize], expected: &str| {
            let error = ConfusionMatrix::new(n_classes, labels, predicted).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(1, &[], &[], "n_classes: expected at least 2, got 1");
        check(2, &[0, 1], &[0], "predicted classes: expected 2 values, got 1");
        check(2, &[0, 2], &[0, 1], "sample 1: expected a label in 0..=1, got 2");
        check(2, &[0, 1], &[5, 1], "sample 0: expected a label in 0..=1, got 5");
    }

    #[test]
    fn metrics_equal_manual_results() {
        // 4 true negatives, 1 false positive, 2 false negatives, 3 true positives.
        let m = matrix(2, &[0, 0, 0, 0, 0, 1, 1, 1, 1, 1], &[0, 0, 0, 0, 1, 0, 0, 1, 1, 1]);
        let close = |score: Score, expected: f64| {
            assert!((score.value().unwrap() - expected).abs() < 1e-15, "{score} {expected}");
            assert!(score.is_defined());
        };
        close(m.accuracy(), 0.7);
        close(m.balanced_accuracy(), 0.7);
        close(m.mcc(), (3.0 * 4.0 - 1.0 * 2.0) / (4.0_f64 * 5.0 * 5.0 * 6.0).sqrt());
        close(m.cohen_kappa(), 0.4);
        close(m.auc_hard(), 0.7);
    }

    #[test]
    fn undefined_values_have_reasons() {
        let check = |score: Score, reason: &str, convention: Option<f64>| {
            assert_eq!(score, Score::Undefined { reason: reason.to_owned(), convention });
        };
        let empty = matrix(2, &[], &[]);
        for score in
            [empty.accuracy(), empty.balanced_accuracy(), empty.mcc(), empty.cohen_kappa(), empty.auc_hard()]
        {
            check(score, "there are no samples", None);
        }
        let one_label = matrix(2, &[1, 1], &[1, 0]);
        check(one_label.mcc(), "all labels are of one class", Some(0.0));
        check(one_label.auc_hard(), "class 0 does not occur in the labels", None);
        check(matrix(2, &[1, 0], &[1, 1]).mcc(), "all predictions are of one class", Some(0.0));
        check(matrix(2, &[1], &[1]).cohen_kappa(), "all labels and all predictions are of one class", None);
        check(matrix(3, &[1], &[1]).auc_hard(), "expected 2 classes, got 3", None);
    }

    #[test]
    fn large_counts_do_not_overflow() {
        let n = 5_000_000_000;
        let m = ConfusionMatrix { n_classes: 2, counts: vec![n, 0, 0, n] };
        assert_eq!(m.mcc(), Score::Defined(1.0));
        assert_eq!(m.cohen_kappa(), Score::Defined(1.0));
    }
}
