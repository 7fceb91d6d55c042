//! Labels and class scores of a data set: what every metric is computed from.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use crate::roc::Ranking;
use crate::{ConfusionMatrix, Error, Result};

/// How far the sum of a row may be from 1, and a score outside `[0, 1]`, for the row to be a distribution:
/// generous enough for half precision.
const SUM_TOLERANCE: f64 = 5e-3;
const RANGE_TOLERANCE: f64 = 1e-6;

/// Labels and class scores of a data set, with the class predicted for each sample.
///
/// Scores are usually probabilities, but any finite numbers will do for accuracy, ranking and the like;
/// metrics that need probabilities are then undefined. Clones share their content, so they cost nothing. What
/// several metrics need (confusion matrix, sorted scores) is computed once.
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
    improper: OnceLock<Option<String>>,
}

impl Predictions {
    /// Checks and takes labels `[n]` and scores, row-major `[n, n_classes]`; `n` may be 0.
    ///
    /// # Errors
    /// Fewer than two classes, a label outside them, a wrong number of scores, a score that is not finite.
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
        Ok(Self::of(n_classes, labels, scores, predicted))
    }

    /// The same labels and scores, but these classes predicted, `[n]`: by a threshold, for example.
    ///
    /// # Errors
    /// There are more or fewer than samples, or one is not a class.
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
        Ok(Self::of(n_classes, self.labels().to_vec(), self.scores().to_vec(), predicted))
    }

    /// The samples at these positions, in this order; each may come several times.
    ///
    /// # Errors
    /// A position is not below the number of samples.
    pub fn select(&self, positions: &[usize]) -> Result<Self> {
        let n_samples = self.n_samples();
        if let Some((index, position)) = positions.iter().enumerate().find(|(_, at)| **at >= n_samples) {
            return Err(Error::Value {
                what: "positions",
                index,
                value: *position as f64,
                expected: "one below the number of samples",
            });
        }
        let pick = |list: &[usize]| positions.iter().map(|&at| list[at]).collect();
        let scores = positions.iter().flat_map(|&at| self.row(at)).copied().collect();
        Ok(Self::of(self.n_classes(), pick(self.labels()), scores, pick(self.predicted())))
    }

    /// Of values that are known to fit.
    fn of(n_classes: usize, labels: Vec<usize>, scores: Vec<f64>, predicted: Vec<usize>) -> Self {
        let rankings = (0..n_classes).map(|_| OnceLock::new()).collect();
        let (confusion, improper) = (OnceLock::new(), OnceLock::new());
        let inner = Inner { n_classes, labels, scores, predicted, confusion, rankings, improper };
        Self { inner: Arc::new(inner) }
    }

    /// How many samples there are.
    pub fn n_samples(&self) -> usize {
        self.inner.labels.len()
    }

    /// How many classes there are.
    pub fn n_classes(&self) -> usize {
        self.inner.n_classes
    }

    /// The true class of each sample, `[n]`.
    pub fn labels(&self) -> &[usize] {
        &self.inner.labels
    }

    /// The class scores, row-major `[n, n_classes]`.
    pub fn scores(&self) -> &[f64] {
        &self.inner.scores
    }

    /// The class scores of sample `i`, `[n_classes]`.
    ///
    /// # Panics
    /// There is no sample `i`, as when a slice is indexed.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.inner.scores[i * self.inner.n_classes..][..self.inner.n_classes]
    }

    /// The class with the highest score of each sample, `[n]`; the lowest class wins a tie.
    pub fn predicted(&self) -> &[usize] {
        &self.inner.predicted
    }

    /// How often each class was predicted for each true class; counted once.
    pub fn confusion(&self) -> &ConfusionMatrix {
        self.inner.confusion.get_or_init(|| {
            ConfusionMatrix::count(self.n_classes(), self.labels().iter().zip(self.predicted()))
        })
    }

    /// How well the scores of `class` rank its samples before all others; computed once.
    pub(crate) fn ranking(&self, class: usize) -> &Ranking {
        self.inner.rankings[class].get_or_init(|| Ranking::for_class(self, class))
    }

    /// Why the scores are no probabilities: names the first row at fault. `None` if they are.
    pub(crate) fn not_probabilities(&self) -> Option<&str> {
        let find = || {
            let row = self
                .scores()
                .par_chunks_exact(self.n_classes())
                .position_first(|row| !is_distribution(row))?;
            Some(format!(
                "the scores of sample {row} are no probabilities (they sum to {:.6})",
                self.row(row).iter().sum::<f64>()
            ))
        };
        self.inner.improper.get_or_init(find).as_deref()
    }
}

impl PartialEq for Predictions {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.inner, &other.inner);
        let same = || a.n_classes == b.n_classes && a.labels == b.labels && a.scores == b.scores;
        Arc::ptr_eq(a, b) || (same() && a.predicted == b.predicted)
    }
}

/// The sizes only: the content may be millions of rows.
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
    /// Nothing collected yet.
    pub fn new(n_classes: usize) -> Self {
        Self { n_classes, labels: Vec::new(), scores: Vec::new() }
    }

    /// Makes room for `n_samples` more, so that memory is taken once.
    pub fn reserve(&mut self, n_samples: usize) {
        self.labels.reserve(n_samples);
        self.scores.reserve(n_samples.saturating_mul(self.n_classes));
    }

    /// Appends a batch: labels `[b]` of any integer type, and scores, row-major `[b, n_classes]`.
    ///
    /// # Errors
    /// A label outside the classes, a wrong number of scores, a score that is not finite; samples are counted
    /// from the first batch on. Nothing of a refused batch is retained.
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

    /// All that was collected.
    ///
    /// # Errors
    /// There are fewer than two classes.
    pub fn finish(self) -> Result<Predictions> {
        Predictions::new(self.n_classes, self.labels, self.scores)
    }
}

/// Position of the largest score, the first of equal ones.
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
    fn says_what_is_wrong() {
        check_error(1, &[0], &[1.0], "1 classes: a classifier has at least 2");
        check_error(0, &[], &[], "0 classes: a classifier has at least 2");
        check_error(2, &[0, 2], &[0.5; 4], "sample 1: label 2 is outside the classes 0..=1");
        check_error(2, &[0, 1], &[0.5; 3], "3 scores for 2 samples and 2 classes: expected 4");
        check_error(
            2,
            &[0, 1],
            &[0.5, 0.5, 0.5, f64::NAN],
            "sample 1: the score of class 1 is NaN, expected a finite number",
        );
        check_error(
            3,
            &[0],
            &[0.5, f64::INFINITY, 0.0],
            "sample 0: the score of class 1 is inf, expected a finite number",
        );
    }

    #[test]
    fn the_lowest_class_wins_a_tie() {
        let check = |row: &[f64], expected: usize| assert_eq!(argmax(row), expected, "{row:?}");
        check(&[0.5, 0.5], 0);
        check(&[0.2, 0.4, 0.4], 1);
        check(&[-3.0, -2.0, -2.0], 1);
        check(&[0.0, -0.0], 0);
        check(&[1.0, 2.0, 3.0], 2);
    }

    #[test]
    fn batches_add_up_and_errors_count_from_the_first() {
        let mut builder = PredictionsBuilder::new(3);
        builder.reserve(3);
        builder.extend(&[2_i64, 0], &[0.1, 0.2, 0.7, 0.6, 0.3, 0.1]).unwrap();
        builder.extend(&[1_usize], &[0.0, 1.0, 0.0]).unwrap();
        let message = |builder: &mut PredictionsBuilder, label: i64, scores: &[f64]| {
            builder.extend(&[1, label], scores).unwrap_err().to_string()
        };
        assert_eq!(message(&mut builder, -1, &[0.0; 6]), "sample 4: label -1 is outside the classes 0..=2");
        assert_eq!(message(&mut builder, 3, &[0.0; 6]), "sample 4: label 3 is outside the classes 0..=2");
        assert_eq!(message(&mut builder, 1, &[0.0; 5]), "5 scores for 2 samples and 3 classes: expected 6");
        let bad = [0.0, 0.0, 0.0, 0.0, f64::NAN, 0.0];
        assert_eq!(
            message(&mut builder, 1, &bad),
            "sample 4: the score of class 1 is NaN, expected a finite number"
        );
        let predictions = builder.finish().unwrap();
        assert_eq!(predictions.labels(), [2, 0, 1]);
        assert_eq!(predictions.predicted(), [2, 0, 1]);
        assert_eq!(predictions.scores().len(), 9);
        assert!(PredictionsBuilder::new(1).finish().is_err());
    }

    #[test]
    fn knows_probabilities() {
        let check = |scores: &[f64], expected: Option<&str>| {
            let predictions = Predictions::new(2, vec![0; scores.len() / 2], scores.to_vec()).unwrap();
            assert_eq!(predictions.not_probabilities(), expected, "{scores:?}");
        };
        check(&[], None);
        check(&[0.25, 0.75, 1.0, 0.0], None);
        check(&[0.25_f64, 0.750_001], None);
        check(
            &[0.25, 0.75, 2.0, 0.5],
            Some("the scores of sample 1 are no probabilities (they sum to 2.500000)"),
        );
        check(&[-1.0, 2.0], Some("the scores of sample 0 are no probabilities (they sum to 1.000000)"));
    }

    #[test]
    fn samples_can_be_drawn_and_judged_otherwise() {
        let whole = Predictions::new(2, vec![0, 1], vec![0.9, 0.1, 0.4, 0.6]).unwrap();
        let other = whole.with_predicted(vec![1, 0]).unwrap();
        assert_ne!(whole, other);
        let drawn = other.select(&[1, 1, 0]).unwrap();
        assert_eq!((drawn.labels(), drawn.predicted()), (&[1, 1, 0][..], &[0, 0, 1][..]));
        assert_eq!(drawn.scores(), [0.4, 0.6, 0.4, 0.6, 0.9, 0.1]);
        assert!(whole.with_predicted(vec![0]).is_err() && whole.with_predicted(vec![0, 2]).is_err());
        let error = whole.select(&[2]).unwrap_err().to_string();
        assert_eq!(error, "positions: value 0 is 2, expected one below the number of samples");
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
