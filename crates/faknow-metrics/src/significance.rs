//! Significance tests for two detectors on the same samples.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{percentile_interval, resample_indices};
use crate::{Error, Predictions, Result, metric_by_name};

/// The result of McNemar's test for two detectors on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Number of samples that only the first detector predicts correctly.
    pub only_first: u64,
    /// Number of samples that only the second detector predicts correctly.
    pub only_second: u64,
    /// Two-sided p-value of the exact binomial test: the probability of a difference at least this large if both detectors have
    /// the same error rate.
    pub p_value: f64,
}

/// Performs McNemar's exact test (McNemar 1947; Dietterich, *Approximate Statistical Tests*, 1998, section 3.1).
///
/// ```
/// use faknow_metrics::{Predictions, mcnemar};
///
/// let labels = vec![0; 10];
/// let always = |class: usize| if class == 0 { vec![0.9, 0.1] } else { vec![0.1, 0.9] };
/// let correct = Predictions::new(2, labels.clone(), always(0).repeat(10))?;
/// let wrong = Predictions::new(2, labels, always(1).repeat(10))?;
/// assert_eq!(mcnemar(&correct, &wrong)?.p_value, 2.0 / 1024.0);
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
///
/// # Errors
/// The two differ in the number of samples or in labels.
pub fn mcnemar(first: &Predictions, second: &Predictions) -> Result<McNemar> {
    check_pairs(first, second)?;
    let (mut only_first, mut only_second) = (0, 0);
    for (label, predicted) in first.labels().iter().zip(first.predicted().iter().zip(second.predicted())) {
        match (predicted.0 == label, predicted.1 == label) {
            (true, false) => only_first += 1,
            (false, true) => only_second += 1,
            _ => {}
        }
    }
    let p_value = two_sided_binomial(u64::min(only_first, only_second), only_first + only_second);
    Ok(McNemar { only_first, only_second, p_value })
}

/// The difference in a metric between two detectors, with its 95 % confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The metric's name.
    pub name: String,
    /// Value of the second detector minus that of the first.
    pub value: f64,
    /// Lower bound: the 2.5th percentile of the resampled differences.
    pub low: f64,
    /// Upper bound: the 97.5th percentile.
    pub high: f64,
}

/// Computes the difference in `metric` between the second and the first detector, with a paired bootstrap confidence interval;
/// `None` if the metric is undefined.
///
/// # Errors
/// The two differ in the number of samples or in labels, or the metric is unknown.
pub fn paired_bootstrap(
    first: &Predictions,
    second: &Predictions,
    metric: &str,
    n_resamples: usize,
    seed: u64,
) -> Result<Option<Difference>> {
    check_pairs(first, second)?;
    let difference = |first: &Predictions, second: &Predictions| -> Result<Option<f64>> {
        let metric = metric_by_name(metric)?;
        let (first, second) = (metric.compute(first)?.defined(), metric.compute(second)?.defined());
        Ok(first.zip(second).map(|(first, second)| second - first))
    };
    let Some(value) = difference(first, second)? else { return Ok(None) };
    let values: Vec<Option<f64>> = (0..n_resamples as u64)
        .into_par_iter()
        .map(|index| {
            let indices = resample_indices(first.n_samples(), seed, index);
            difference(&first.select(&indices)?, &second.select(&indices)?)
        })
        .collect::<Result<_>>()?;
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    let name = metric.to_owned();
    Ok(percentile_interval(&mut values).map(|(low, high)| Difference { name, value, low, high }))
}

fn check_pairs(first: &Predictions, second: &Predictions) -> Result<()> {
    if first.n_samples() != second.n_samples() {
        return Err(Error::Length {
            what: "samples of the second detector",
            expected: first.n_samples(),
            got: second.n_samples(),
        });
    }
    match first.labels().iter().zip(second.labels()).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(index) => Err(Error::Value {
            what: "labels of the second detector",
            index,
            value: second.labels()[index] as f64,
            expected: "the label of the first detector (both must be tested on the same samples in the same order)",
        }),
    }
}

/// Returns the probability of at most `k` or at least `n - k` heads in `n` throws of a coin.
fn two_sided_binomial(k: u64, n: u64) -> f64 {
    // In logarithms, since 2^-n underflows f64 from n = 1075.
    let log_scale = -(n as f64) * 2.0_f64.ln();
    let (mut log_binomial, mut sum) = (0.0_f64, 0.0_f64);
    for i in 0..=k {
        sum += (log_binomial + log_scale).exp();
        log_binomial += ((n - i) as f64).ln() - ((i + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns 200 predictions, of which those in `start..start + n_correct` are correct.
    fn predictions(start: usize, n_correct: usize) -> Predictions {
        let labels: Vec<usize> = (0..200).map(|i| i % 2).collect();
        let score = |i: usize| {
            let is_correct = (start..start + n_correct).contains(&i);
            if (labels[i] == 1) == is_correct { [0.2, 0.8] } else { [0.8, 0.2] }
        };
        Predictions::new(2, labels.clone(), (0..200).flat_map(score).collect()).unwrap()
    }

    #[test]
    fn p_values_equal_scipys() {
        // scipy.stats.binomtest(k, n, 0.5).pvalue
        for (k, n, expected) in [(0, 0, 1.0), (0, 5, 0.0625), (2, 10, 0.109375), (5, 10, 1.0)] {
            let p = two_sided_binomial(k, n);
            assert!((p - expected).abs() < 1e-12, "{k} of {n}: {p}");
        }
        let p = two_sided_binomial(950, 2000);
        assert!((p - 0.026_834).abs() < 1e-4, "{p}");
    }

    #[test]
    fn detects_a_better_detector_but_not_an_equal_one() {
        let (a, b, c) = (predictions(0, 150), predictions(10, 180), predictions(50, 150));
        let test = mcnemar(&a, &b).unwrap();
        assert_eq!((test.only_first, test.only_second), (10, 40));
        assert!(test.p_value < 0.001);
        assert_eq!(mcnemar(&a, &c).unwrap().p_value, 1.0);
        let difference = paired_bootstrap(&a, &b, "accuracy", 500, 1).unwrap().unwrap();
        assert!((difference.value - 0.15).abs() < 1e-12 && difference.low > 0.0, "{difference:?}");
        let equal = paired_bootstrap(&a, &c, "accuracy", 500, 1).unwrap().unwrap();
        assert!(equal.low < 0.0 && equal.high > 0.0, "{equal:?}");
    }

    #[test]
    fn rejects_different_samples() {
        let other = Predictions::new(2, vec![1; 200], vec![0.5; 400]).unwrap();
        let error = mcnemar(&predictions(0, 1), &other).unwrap_err().to_string();
        assert!(error.contains("same samples"), "{error}");
        assert!(mcnemar(&predictions(0, 1), &Predictions::new(2, vec![], vec![]).unwrap()).is_err());
    }
}
