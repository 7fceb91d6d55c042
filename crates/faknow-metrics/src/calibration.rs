//! Metrics of predicted probabilities: log loss, Brier score, calibration error, reliability diagram.

use rayon::prelude::*;
use serde::Serialize;

use crate::confusion::{NO_SAMPLES, needs_two_classes};
use crate::{Error, Predictions, Result, Score};

/// The samples whose confidence (probability of the predicted class) is in one interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Lower edge, exclusive except for the first bin.
    pub lower: f64,
    /// Upper edge, inclusive.
    pub upper: f64,
    /// Number of samples.
    pub n_samples: u64,
    /// Mean confidence; undefined without samples.
    pub confidence: Score,
    /// Accuracy; undefined without samples.
    pub accuracy: Score,
}

/// Returns accuracy by confidence in `n_bins` bins of equal width, the data of a reliability diagram.
///
/// # Errors
/// `n_bins` is 0, or the scores are not probabilities.
pub fn reliability_bins(predictions: &Predictions, n_bins: usize) -> Result<Vec<ReliabilityBin>> {
    if n_bins == 0 {
        return Err(Error::NoBins);
    }
    if let Some(reason) = predictions.probability_error() {
        return Err(Error::Undefined { what: "the reliability diagram", reason: reason.to_owned() });
    }
    let bins = sums_by_confidence(predictions, n_bins).into_iter().enumerate().map(|(k, bin)| {
        let mean = |sum: f64| match bin.n_samples {
            0 => Score::undefined("no samples in this bin"),
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

/// Computes the expected calibration error (Guo et al. 2017): the mean over the samples of |accuracy - mean confidence| of
/// their bin.
///
/// The `n_bins` bins have equal width and include their upper edge. Undefined without samples, for 0 bins, and if the scores
/// are not probabilities.
pub fn expected_calibration_error(predictions: &Predictions, n_bins: usize) -> Score {
    if n_bins == 0 {
        return Score::undefined("n_bins is 0");
    }
    for_probabilities(predictions, || {
        let bins = sums_by_confidence(predictions, n_bins);
        let gaps: f64 = bins.iter().map(|bin| (bin.correct as f64 - bin.confidence).abs()).sum();
        gaps / predictions.n_samples() as f64
    })
}

/// Computes the log loss: the mean negative natural logarithm of the probability of the true class.
///
/// Probabilities are clipped to `[2^-52, 1 - 2^-52]`, so the loss of a sample is at most about 36. Undefined without
/// samples, and if the scores are not probabilities.
pub fn log_loss(predictions: &Predictions) -> Score {
    let loss =
        |i: usize, label: usize| -predictions.row(i)[label].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
    for_probabilities(predictions, || mean(predictions, loss))
}

/// Computes the Brier score of two classes: the mean squared difference between the probability of class 1 and the label, in
/// `[0, 1]`.
///
/// Undefined unless there are two classes, without samples, and if the scores are not probabilities.
pub fn brier_binary(predictions: &Predictions) -> Score {
    if predictions.n_classes() != 2 {
        return Score::undefined(needs_two_classes(predictions.n_classes()));
    }
    let square = |i: usize, label: usize| (predictions.row(i)[1] - label as f64).powi(2);
    for_probabilities(predictions, || mean(predictions, square))
}

/// Computes the multiclass Brier score (Brier 1950): the mean squared distance between probabilities and one-hot label,
/// summed over the classes, in `[0, 2]`; with two classes twice [`brier_binary`].
///
/// Undefined without samples, and if the scores are not probabilities.
pub fn brier_multiclass(predictions: &Predictions) -> Score {
    let squares = |i: usize, label: usize| {
        let target = |class: usize| if class == label { 1.0 } else { 0.0 };
        let row = predictions.row(i).iter().enumerate();
        row.map(|(class, p)| (p - target(class)).powi(2)).sum()
    };
    for_probabilities(predictions, || mean(predictions, squares))
}

/// The sums over the samples of a bin.
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
        // The ceiling puts an edge into the bin below it; the cast saturates.
        let bin = ((confidence * n_bins as f64).ceil() as usize).saturating_sub(1).min(n_bins - 1);
        bins[bin].n_samples += 1;
        bins[bin].correct += u64::from(label == predicted);
        bins[bin].confidence += confidence;
    }
    bins
}

/// Returns `value()`, or the reason why it is undefined.
fn for_probabilities(predictions: &Predictions, value: impl FnOnce() -> f64) -> Score {
    match predictions.probability_error() {
        _ if predictions.n_samples() == 0 => Score::undefined(NO_SAMPLES),
        Some(reason) => Score::undefined(reason),
        None => Score::from(value()),
    }
}

/// Returns the mean of `value(sample, label)`, which does not depend on the number of threads.
fn mean(predictions: &Predictions, value: impl Fn(usize, usize) -> f64 + Sync) -> f64 {
    // Sums of fixed-size blocks, added in order: a parallel sum would depend on the scheduling of threads.
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
    fn metrics_equal_manual_results() {
        let p = two(&[1, 0, 1], &[0.75, 0.5, 0.25]);
        close(&log_loss(&p), -(0.75_f64.ln() + 0.5_f64.ln() + 0.25_f64.ln()) / 3.0);
        close(&brier_binary(&p), (0.0625 + 0.25 + 0.5625) / 3.0);
        close(&brier_multiclass(&p), 2.0 * (0.0625 + 0.25 + 0.5625) / 3.0);
        // Confidences: 0.75 correct, 0.5 correct, 0.75 wrong.
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
    fn undefined_values_have_reasons() {
        let scores = |p: &Predictions| {
            [log_loss(p), brier_binary(p), brier_multiclass(p), expected_calibration_error(p, 15)]
        };
        for score in scores(&two(&[], &[])) {
            assert_eq!(score, Score::undefined("there are no samples"));
        }
        let logits = Predictions::new(2, vec![0], vec![3.0, -1.0]).unwrap();
        for score in scores(&logits) {
            let reason = "the scores of sample 0 are not probabilities (they sum to 2.000000)";
            assert_eq!(score, Score::undefined(reason));
        }
        let error = |p: &Predictions, n| reliability_bins(p, n).unwrap_err().to_string();
        assert!(
            error(&logits, 15).starts_with("the reliability diagram is undefined: the scores of sample 0")
        );
        assert_eq!(error(&two(&[], &[]), 0), "n_bins: expected at least 1, got 0");
        assert_eq!(expected_calibration_error(&two(&[0], &[0.5]), 0), Score::undefined("n_bins is 0"));
        let three = Predictions::new(3, vec![0], vec![0.5, 0.25, 0.25]).unwrap();
        assert_eq!(brier_binary(&three), Score::undefined("expected 2 classes, got 3"));
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let n = 100_000;
        let p = two(&vec![1; n], &(1..=n).map(|i| i as f64 / n as f64).collect::<Vec<_>>());
        let compute = |n_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| (log_loss(&p), brier_multiclass(&p)))
        };
        assert_eq!(compute(1), compute(4));
    }
}
