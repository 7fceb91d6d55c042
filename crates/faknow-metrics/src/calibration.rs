//! Measures of how far probabilities can be believed: log loss, Brier score, calibration error.

use rayon::prelude::*;
use serde::Serialize;

use crate::confusion::{NO_SAMPLES, needs_two_classes};
use crate::{Error, Predictions, Result, Score};

/// The samples whose confidence (probability of the predicted class) falls into one interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Confidences are above this, except that the first bin includes it.
    pub lower: f64,
    /// Confidences are at most this.
    pub upper: f64,
    /// How many samples there are.
    pub n_samples: u64,
    /// Their mean confidence; undefined without samples.
    pub confidence: Score,
    /// The share of them that is predicted correctly; undefined without samples.
    pub accuracy: Score,
}

/// Accuracy by confidence in `n_bins` intervals of equal width, as a reliability diagram shows it.
///
/// # Errors
/// `n_bins` is 0, or the scores are no probabilities.
pub fn reliability_bins(predictions: &Predictions, n_bins: usize) -> Result<Vec<ReliabilityBin>> {
    if n_bins == 0 {
        return Err(Error::NoBins);
    }
    if let Some(reason) = predictions.not_probabilities() {
        return Err(Error::Undefined { what: "the reliability diagram", reason: reason.to_owned() });
    }
    let bins = sums_by_confidence(predictions, n_bins).into_iter().enumerate().map(|(k, bin)| {
        let mean = |sum: f64| match bin.n_samples {
            0 => Score::undefined("no sample has such a confidence"),
            n => Score::from(sum / n as f64),
        };
        ReliabilityBin {
            lower: k as f64 / n_bins as f64,
            upper: (k + 1) as f64 / n_bins as f64,
            n_samples: bin.n_samples,
            confidence: mean(bin.confidence),
            accuracy: mean(bin.correct as f64),
        }
    });
    Ok(bins.collect())
}

/// Expected calibration error (Guo et al. 2017): mean over the samples of |accuracy - mean confidence| of
/// their bin.
///
/// The bins are `n_bins` intervals of equal width, open below. Undefined without samples, for 0 bins, and if
/// the scores are no probabilities.
pub fn expected_calibration_error(predictions: &Predictions, n_bins: usize) -> Score {
    if n_bins == 0 {
        return Score::undefined("there are no bins");
    }
    of_probabilities(predictions, || {
        let bins = sums_by_confidence(predictions, n_bins);
        let gaps: f64 = bins.iter().map(|bin| (bin.correct as f64 - bin.confidence).abs()).sum();
        gaps / predictions.n_samples() as f64
    })
}

/// Mean negative natural logarithm of the probability of the true class.
///
/// Probabilities are clipped to `[2^-52, 1 - 2^-52]`, so that certainty in a wrong class costs about 36.
/// Undefined without samples, and if the scores are no probabilities.
pub fn log_loss(predictions: &Predictions) -> Score {
    let loss =
        |i: usize, label: usize| -predictions.row(i)[label].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    of_probabilities(predictions, || mean(predictions, loss))
}

/// Mean squared difference between the probability of class 1 and the label, in `[0, 1]`.
///
/// Undefined unless there are two classes, without samples, and if the scores are no probabilities.
pub fn brier_binary(predictions: &Predictions) -> Score {
    if predictions.n_classes() != 2 {
        return Score::undefined(needs_two_classes(predictions.n_classes()));
    }
    let square = |i: usize, label: usize| (predictions.row(i)[1] - label as f64).powi(2);
    of_probabilities(predictions, || mean(predictions, square))
}

/// Mean over the samples of the squared differences between probabilities and one-hot label, summed over the
/// classes, in `[0, 2]` (Brier 1950; with two classes twice [`brier_binary`]).
///
/// Undefined without samples, and if the scores are no probabilities.
pub fn brier_multiclass(predictions: &Predictions) -> Score {
    let squares = |i: usize, label: usize| {
        let target = |class: usize| if class == label { 1.0 } else { 0.0 };
        let row = predictions.row(i).iter().enumerate();
        row.map(|(class, p)| (p - target(class)).powi(2)).sum()
    };
    of_probabilities(predictions, || mean(predictions, squares))
}

#[derive(Clone, Copy, Default)]
struct BinSums {
    n_samples: u64,
    correct: u64,
    confidence: f64,
}

fn sums_by_confidence(predictions: &Predictions, n_bins: usize) -> Vec<BinSums> {
    let mut bins = vec![BinSums::default(); n_bins];
    for (i, (label, predicted)) in predictions.labels().iter().zip(predictions.predicted()).enumerate() {
        let confidence = predictions.row(i)[*predicted];
        // The ceiling puts an edge into the bin below it. A cast from a float saturates.
        let bin = ((confidence * n_bins as f64).ceil() as usize).saturating_sub(1).min(n_bins - 1);
        bins[bin].n_samples += 1;
        bins[bin].correct += u64::from(label == predicted);
        bins[bin].confidence += confidence;
    }
    bins
}

fn of_probabilities(predictions: &Predictions, value: impl FnOnce() -> f64) -> Score {
    match predictions.not_probabilities() {
        _ if predictions.n_samples() == 0 => Score::undefined(NO_SAMPLES),
        Some(reason) => Score::undefined(reason),
        None => Score::from(value()),
    }
}

/// Mean over the samples of `value(sample, label)`, the same whatever the number of threads.
fn mean(predictions: &Predictions, value: impl Fn(usize, usize) -> f64 + Sync) -> f64 {
    // Blocks of fixed size are added in order; a parallel sum would add in the order in which threads steal
    // work.
    const BLOCK: usize = 8192;
    let block = |(b, labels): (usize, &[usize])| -> f64 {
        labels.iter().enumerate().map(|(i, &label)| value(b * BLOCK + i, label)).sum()
    };
    let sums: Vec<f64> = predictions.labels().par_chunks(BLOCK).enumerate().map(block).collect();
    sums.iter().sum::<f64>() / predictions.n_samples() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(labels: &[usize], positive: &[f64]) -> Predictions {
        Predictions::new(2, labels.to_vec(), positive.iter().flat_map(|p| [1.0 - p, *p]).collect()).unwrap()
    }

    fn close(score: &Score, expected: f64) {
        assert!(
            score.is_defined() && (score.value().unwrap() - expected).abs() < 1e-12,
            "{score} {expected}"
        );
    }

    #[test]
    fn by_hand() {
        let p = two(&[1, 0, 1], &[0.75, 0.5, 0.25]);
        close(&log_loss(&p), -(0.75_f64.ln() + 0.5_f64.ln() + 0.25_f64.ln()) / 3.0);
        close(&brier_binary(&p), (0.0625 + 0.25 + 0.5625) / 3.0);
        close(&brier_multiclass(&p), 2.0 * (0.0625 + 0.25 + 0.5625) / 3.0);
        // Confidences 0.75 right, 0.5 right, 0.75 wrong.
        close(&expected_calibration_error(&p, 2), (0.5 + 0.5) / 3.0);
        close(&expected_calibration_error(&p, 1), 0.0);
        let certain = two(&[1, 0], &[0.0, 1.0]);
        close(&log_loss(&certain), 52.0 * 2.0_f64.ln());
    }

    #[test]
    fn bins_include_their_upper_edge() {
        let bins = reliability_bins(&two(&[1, 0, 1, 1], &[0.75, 0.5, 1.0, 0.875]), 4).unwrap();
        let seen: Vec<_> =
            bins.iter().map(|b| (b.lower, b.n_samples, b.confidence.value(), b.accuracy.value())).collect();
        let expected = [
            (0.0, 0, None, None),
            (0.25, 1, Some(0.5), Some(1.0)),
            (0.5, 1, Some(0.75), Some(1.0)),
            (0.75, 2, Some(0.9375), Some(1.0)),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn undefined_values_say_why() {
        let scores = |p: &Predictions| {
            [log_loss(p), brier_binary(p), brier_multiclass(p), expected_calibration_error(p, 15)]
        };
        for score in scores(&two(&[], &[])) {
            assert_eq!(score, Score::undefined("there are no samples"));
        }
        let logits = Predictions::new(2, vec![0], vec![3.0, -1.0]).unwrap();
        for score in scores(&logits) {
            let reason = "the scores of sample 0 are no probabilities (they sum to 2.000000)";
            assert_eq!(score, Score::undefined(reason));
        }
        let error = |p: &Predictions, n| reliability_bins(p, n).unwrap_err().to_string();
        assert!(
            error(&logits, 15).starts_with("the reliability diagram is undefined: the scores of sample 0")
        );
        assert_eq!(error(&two(&[], &[]), 0), "0 bins: at least 1 is needed");
        assert_eq!(expected_calibration_error(&two(&[0], &[0.5]), 0), Score::undefined("there are no bins"));
        let three = Predictions::new(3, vec![0], vec![0.5, 0.25, 0.25]).unwrap();
        assert_eq!(brier_binary(&three), Score::undefined("it is for 2 classes, there are 3"));
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let n = 100_000;
        let p = two(&vec![1; n], &(1..=n).map(|i| i as f64 / n as f64).collect::<Vec<_>>());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (log_loss(&p), brier_multiclass(&p)))
        };
        assert_eq!(on(1), on(4));
    }
}
