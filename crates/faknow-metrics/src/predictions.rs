//! Labels and class scores of a dataset, the input of every metric.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use crate::roc::Ranking;
use crate::{ConfusionMatrix, Error, Result};

/// Tolerances for a row to be a probability distribution: of its sum from 1, and of a score outside `[0, 1]`. Large enough
/// for half precision.
const SUM_TOLERANCE: f64 = 5e-3;
const RANGE_TOLERANCE: f64 = 1e-6;

/// Labels, class scores and predicted classes of a dataset.
///
/// Scores are usually probabilities. Any finite numbers work for accuracy and ranking metrics; metrics that need
/// probabilities are then undefined. Clones share their content and are cheap. Results that several metrics need (confusion
/// matrix, sorted scores) are computed once.
///
/// ```
/// use faknow_metrics::Predictions;
///
/// let predictions = Predictions::new(2, vec![0, 1, 1], vec![0.9, 0.1, 0.4, 0.6, 0.5, 0.5])?;
/// assert_eq!(predictions.predicted(), [0, 1, 0]);
/// assert_eq!(predictions.row(1), [0.4, 0.6]);
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
#[derive(Clone)]
pub struct Predictions {
    inner: Arc<Inner>,
}

struct Inner {
    n_classes: usize,
    labels: Vec<usize>,
    scores: Vec<f64>,
    predicted: Vec<usize>,
    confusion: OnceLock<ConfusionMatrix>,
    rankings: Vec<OnceLock<Ranking>>,
    /// Why the scores are not probabilities.
    probability_error: OnceLock<Option<String>>,
}

impl Predictions {
    /// Creates predictions from labels `[n]` and scores, row-major `[n, n_classes]`; `n` may be 0.
    ///
    /// # Errors
    /// There are fewer than two classes, a label is not in `0..n_classes`, the number of scores is wrong, or a score is not
    /// finite.
    pub fn new(n_classes: usize, labels: Vec<usize>, scores: Vec<f64>) -> Result<Self> {
        if n_classes < 2 {
            return Err(Error::TooFewClasses { n_classes });
        }
        if labels.len().checked_mul(n_classes) != Some(scores.len()) {
            return Err(Error::ScoreCount { got: scores.len(), n_samples: labels.len(), n_classes });
        }
        if let Some(sample) = labels.par_iter().position_first(|&label| label >= n_classes) {
            return Err(Error::LabelOutsideClasses { sample, label: labels[sample] as i128, n_classes });
        }
        if let Some(i) = scores.par_iter().position_first(|score| !score.is_finite()) {
            return Err(Error::NotFinite { sample: i / n_classes, class: i % n_classes, value: scores[i] });
        }
        let predicted = scores.par_chunks_exact(n_classes).map(argmax).collect();
        Ok(Self::new_unchecked(n_classes, labels, scores, predicted))
    }

    /// Returns the same labels and scores with other predicted classes, `[n]`, for example by a threshold.
    ///
    /// # Errors
    /// The number of predicted classes is not that of the samples, or one is not in `0..n_classes`.
    pub fn with_predicted(&self, predicted: Vec<usize>) -> Result<Self> {
        let (n_samples, n_classes) = (self.n_samples(), self.n_classes());
        if predicted.len() != n_samples {
            return Err(Error::Length {
                what: "predicted classes",
                expected: n_samples,
                got: predicted.len(),
            });
        }
        if let Some(sample) = predicted.iter().position(|&class| class >= n_classes) {
            return Err(Error::LabelOutsideClasses { sample, label: predicted[sample] as i128, n_classes });
        }
        Ok(Self::new_unchecked(n_classes, self.labels().to_vec(), self.scores().to_vec(), predicted))
    }

    /// Returns the samples at `indices`, in this order; an index may be repeated.
    ///
    /// # Errors
    /// An index is not below the number of samples.
    pub fn select(&self, indices: &[usize]) -> Result<Self> {
        let n_samples = self.n_samples();
        if let Some((index, value)) = indices.iter().enumerate().find(|(_, i)| **i >= n_samples) {
            return Err(Error::Value {
                what: "indices",
                index,
                value: *value as f64,
                expected: "an index below the number of samples",
            });
        }
        let select = |list: &[usize]| indices.iter().map(|&i| list[i]).collect();
        let scores = indices.iter().flat_map(|&i| self.row(i)).copied().collect();
        Ok(Self::new_unchecked(self.n_classes(), select(self.labels()), scores, select(self.predicted())))
    }

    /// Creates predictions from valid values.
    fn new_unchecked(n_classes: usize, labels: Vec<usize>, scores: Vec<f64>, predicted: Vec<usize>) -> Self {
        let rankings = (0..n_classes).map(|_| OnceLock::new()).collect();
        let (confusion, probability_error) = (OnceLock::new(), OnceLock::new());
        let inner = Inner { n_classes, labels, scores, predicted, confusion, rankings, probability_error };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the number of samples.
    pub fn n_samples(&self) -> usize {
        self.inner.labels.len()
    }

    /// Returns the number of classes.
    pub fn n_classes(&self) -> usize {
        self.inner.n_classes
    }

    /// Returns the true class of each sample, `[n]`.
    pub fn labels(&self) -> &[usize] {
        &self.inner.labels
    }

    /// Returns the class scores, row-major `[n, n_classes]`.
    pub fn scores(&self) -> &[f64] {
        &self.inner.scores
    }

    /// Returns the class scores of sample `i`, `[n_classes]`.
    ///
    /// # Panics
    /// `i` is not below the number of samples.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.inner.scores[i * self.inner.n_classes..][..self.inner.n_classes]
    }

    /// Returns the predicted class of each sample, `[n]`: unless replaced by [`with_predicted`](Self::with_predicted), the class
    /// with the highest score, the lowest class in a tie.
    pub fn predicted(&self) -> &[usize] {
        &self.inner.predicted
    }

    /// Returns the confusion matrix; computed once.
    pub fn confusion(&self) -> &ConfusionMatrix {
        self.inner.confusion.get_or_init(|| {
            ConfusionMatrix::count(self.n_classes(), self.labels().iter().zip(self.predicted()))
        })
    }

    /// Returns the ranking metrics of `class` against the rest; computed once.
    pub(crate) fn ranking(&self, class: usize) -> &Ranking {
        self.inner.rankings[class].get_or_init(|| Ranking::for_class(self, class))
    }

    /// Returns why the scores are not probabilities, naming the first invalid row; `None` if they are.
    pub(crate) fn probability_error(&self) -> Option<&str> {
        let check = || {
            let row = self
                .scores()
                .par_chunks_exact(self.n_classes())
                .position_first(|row| !is_distribution(row))?;
            Some(format!(
                "the scores of sample {row} are not probabilities (they sum to {:.6})",
                self.row(row).iter().sum::<f64>()
            ))
        };
        self.inner.probability_error.get_or_init(check).as_deref()
    }
}

impl PartialEq for Predictions {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.inner, &other.inner);
        let same_data = || a.n_classes == b.n_classes && a.labels == b.labels && a.scores == b.scores;
        Arc::ptr_eq(a, b) || (same_data() && a.predicted == b.predicted)
    }
}

/// Sizes only, since there may be millions of rows.
impl fmt::Debug for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Predictions")
            .field("n_samples", &self.n_samples())
            .field("n_classes", &self.n_classes())
            .finish_non_exhaustive()
    }
}

/// Collects predictions batch by batch.
///
/// ```
/// use faknow_metrics::PredictionsBuilder;
///
/// let mut builder = PredictionsBuilder::new(2);
/// builder.extend(&[1_i64, 0], &[0.2, 0.8, 0.7, 0.3])?;
/// builder.extend(&[1_i64], &[0.6, 0.4])?;
/// let predictions = builder.finish()?;
/// assert_eq!(predictions.n_samples(), 3);
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct PredictionsBuilder {
    n_classes: usize,
    labels: Vec<usize>,
    scores: Vec<f64>,
}

impl PredictionsBuilder {
    /// Creates an empty builder.
    pub fn new(n_classes: usize) -> Self {
        Self { n_classes, labels: Vec::new(), scores: Vec::new() }
    }

    /// Reserves capacity for `n_samples` more samples.
    pub fn reserve(&mut self, n_samples: usize) {
        self.labels.reserve(n_samples);
        self.scores.reserve(n_samples.saturating_mul(self.n_classes));
    }

    /// Appends a batch: labels `[b]` of any integer type, and scores, row-major `[b, n_classes]`.
    ///
    /// # Errors
    /// A label is not in `0..n_classes`, the number of scores is wrong, or a score is not finite; sample indices count from the
    /// first batch. An invalid batch leaves the builder unchanged.
    pub fn extend<L: Copy + TryInto<i128>>(&mut self, labels: &[L], scores: &[f64]) -> Result<()> {
        let (n_classes, before) = (self.n_classes, self.labels.len());
        if labels.len().checked_mul(n_classes) != Some(scores.len()) {
            return Err(Error::ScoreCount { got: scores.len(), n_samples: labels.len(), n_classes });
        }
        if let Some(i) = scores.iter().position(|score| !score.is_finite()) {
            let (sample, class) = (before + i / n_classes, i % n_classes);
            return Err(Error::NotFinite { sample, class, value: scores[i] });
        }
        for (i, &label) in labels.iter().enumerate() {
            let label = label.try_into().unwrap_or(i128::MAX);
            match usize::try_from(label).ok().filter(|&class| class < n_classes) {
                Some(class) => self.labels.push(class),
                None => {
                    self.labels.truncate(before);
                    return Err(Error::LabelOutsideClasses { sample: before + i, label, n_classes });
                }
            }
        }
        self.scores.extend_from_slice(scores);
        Ok(())
    }

    /// Returns all collected predictions.
    ///
    /// # Errors
    /// There are fewer than two classes.
    pub fn finish(self) -> Result<Predictions> {
        Predictions::new(self.n_classes, self.labels, self.scores)
    }
}

/// Returns the index of the largest score, the first in a tie.
pub(crate) fn argmax(row: &[f64]) -> usize {
    let mut best = 0;
    for (class, score) in row.iter().enumerate() {
        if *score > row[best] {
            best = class;
        }
    }
    best
}

fn is_distribution(row: &[f64]) -> bool {
    row.iter().all(|p| (-RANGE_TOLERANCE..=1.0 + RANGE_TOLERANCE).contains(p))
        && (row.iter().sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(n_classes: usize, labels: &[usize], scores: &[f64], expected: &str) {
        let error = Predictions::new(n_classes, labels.to_vec(), scores.to_vec()).unwrap_err().to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn new_rejects_invalid_input() {
        check_error(1, &[0], &[1.0], "n_classes: expected at least 2, got 1");
        check_error(0, &[], &[], "n_classes: expected at least 2, got 0");
        check_error(2, &[0, 2], &[0.5; 4], "sample 1: expected a label in 0..=1, got 2");
        check_error(2, &[0, 1], &[0.5; 3], "scores: expected 4 values (2 samples, 2 classes), got 3");
        check_error(
            2,
            &[0, 1],
            &[0.5, 0.5, 0.5, f64::NAN],
            "sample 1: score of class 1: expected a finite number, got NaN",
        );
        check_error(
            3,
            &[0],
            &[0.5, f64::INFINITY, 0.0],
            "sample 0: score of class 1: expected a finite number, got inf",
        );
    }

    #[test]
    fn argmax_prefers_the_lowest_class_in_a_tie() {
        let check = |row: &[f64], expected: usize| assert_eq!(argmax(row), expected, "{row:?}");
        check(&[0.5, 0.5], 0);
        check(&[0.2, 0.4, 0.4], 1);
        check(&[-3.0, -2.0, -2.0], 1);
        check(&[0.0, -0.0], 0);
        check(&[1.0, 2.0, 3.0], 2);
    }

    #[test]
    fn builder_appends_batches_and_errors_name_the_sample() {
        let mut builder = PredictionsBuilder::new(3);
        builder.reserve(3);
        builder.extend(&[2_i64, 0], &[0.1, 0.2, 0.7, 0.6, 0.3, 0.1]).unwrap();
        builder.extend(&[1_usize], &[0.0, 1.0, 0.0]).unwrap();
        let message = |builder: &mut PredictionsBuilder, label: i64, scores: &[f64]| {
            builder.extend(&[1, label], scores).unwrap_err().to_string()
        };
        assert_eq!(message(&mut builder, -1, &[0.0; 6]), "sample 4: expected a label in 0..=2, got -1");
        assert_eq!(message(&mut builder, 3, &[0.0; 6]), "sample 4: expected a label in 0..=2, got 3");
        assert_eq!(
            message(&mut builder, 1, &[0.0; 5]),
            "scores: expected 6 values (2 samples, 3 classes), got 5"
        );
        let with_nan = [0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0];
        assert_eq!(
            message(&mut builder, 1, &with_nan),
            "sample 4: score of class 1: expected a finite number, got NaN"
        );
        let predictions = builder.finish().unwrap();
        assert_eq!(predictions.labels(), [2, 0, 1]);
        assert_eq!(predictions.predicted(), [2, 0, 1]);
        assert_eq!(predictions.scores().len(), 9);
        assert!(PredictionsBuilder::new(1).finish().is_err());
    }

    #[test]
    fn probability_error_names_the_first_invalid_row() {
        let check = |scores: &[f64], expected: Option<&str>| {
            let predictions = Predictions::new(2, vec![0; scores.len() / 2], scores.to_vec()).unwrap();
            assert_eq!(predictions.probability_error(), expected, "{scores:?}");
        };
        check(&[], None);
        check(&[0.25, 0.75, 1.0, 0.0], None);
        check(&[0.25_f64, 0.750_001], None);
        check(
            &[0.25, 0.75, 2.0, 0.5],
            Some("the scores of sample 1 are not probabilities (they sum to 2.500000)"),
        );
        check(&[-1.0, 2.0], Some("the scores of sample 0 are not probabilities (they sum to 1.000000)"));
    }

    #[test]
    fn selects_samples_and_replaces_predicted_classes() {
        let original = Predictions::new(2, vec![0, 1], vec![0.9, 0.1, 0.4, 0.6]).unwrap();
        let other = original.with_predicted(vec![1, 0]).unwrap();
        assert_ne!(original, other);
        let selected = other.select(&[1, 1, 0]).unwrap();
        assert_eq!((selected.labels(), selected.predicted()), (&[1, 1, 0][..], &[0, 0, 1][..]));
        assert_eq!(selected.scores(), [0.4, 0.6, 0.4, 0.6, 0.9, 0.1]);
        assert!(original.with_predicted(vec![0]).is_err() && original.with_predicted(vec![0, 2]).is_err());
        let error = original.select(&[2]).unwrap_err().to_string();
        assert_eq!(error, "indices[0]: expected an index below the number of samples, got 2");
    }

    #[test]
    fn equality_and_debug() {
        let a = Predictions::new(2, vec![0], vec![0.5, 0.5]).unwrap();
        assert_eq!(a, a.clone());
        assert_eq!(a, Predictions::new(2, vec![0], vec![0.5, 0.5]).unwrap());
        assert_ne!(a, Predictions::new(2, vec![1], vec![0.5, 0.5]).unwrap());
        assert_eq!(format!("{a:?}"), "Predictions { n_samples: 1, n_classes: 2, .. }");
    }
}
