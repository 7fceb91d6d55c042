//! Bootstrap confidence intervals of metrics.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Metrics, Predictions, Result};

/// The value of a metric with its 95 % confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceInterval {
    /// The metric's name.
    pub name: String,
    /// Its value on the original samples.
    pub value: f64,
    /// Lower bound: the 2.5th percentile of the resampled values.
    pub low: f64,
    /// Upper bound: the 97.5th percentile.
    pub high: f64,
}

/// Returns 95 % percentile bootstrap confidence intervals (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993,
/// chapter 13) of the metrics that are defined, from `n_resamples` resamples.
///
/// The same seed gives the same intervals for any number of threads. Resamples for which a metric is undefined are left out
/// of its interval.
///
/// # Errors
/// A metric name is unknown.
pub fn bootstrap(
    predictions: &Predictions,
    metrics: &[&str],
    n_resamples: usize,
    seed: u64,
) -> Result<Vec<ConfidenceInterval>> {
    let original = Metrics::from_names(metrics)?.compute(predictions)?;
    let new_metrics = || Metrics::from_names(metrics);
    let resampled: Vec<_> = (0..n_resamples as u64)
        .into_par_iter()
        .map_init(
            || new_metrics().ok(),
            |metrics, index| {
                let sample = predictions.select(&resample_indices(predictions.n_samples(), seed, index))?;
                match metrics {
                    Some(metrics) => metrics.compute(&sample),
                    None => new_metrics()?.compute(&sample),
                }
            },
        )
        .collect::<Result<_>>()?;
    let interval = |name: &str, value: f64| {
        let mut values: Vec<f64> =
            resampled.iter().filter_map(|scores| scores.get(name)?.defined()).collect();
        let (low, high) = percentile_interval(&mut values)?;
        Some(ConfidenceInterval { name: name.to_owned(), value, low, high })
    };
    Ok(original.iter().filter_map(|(name, score)| interval(name, score.defined()?)).collect())
}

/// Draws `n` of the indices `0..n` with replacement; `index` is the number of the resample.
pub(crate) fn resample_indices(n: usize, seed: u64, index: u64) -> Vec<usize> {
    let mut rng = fastrand::Rng::with_seed(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..n).map(|_| rng.usize(..n)).collect()
}

/// Returns the 2.5th and the 97.5th percentile, interpolated linearly; `None` without values.
pub(crate) fn percentile_interval(values: &mut [f64]) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let quantile = |q: f64| {
        let position = q * last as f64;
        let (below, fraction) = (position.floor() as usize, position.fract());
        values[below] + fraction * (values[(below + 1).min(last)] - values[below])
    };
    Some((quantile(0.025), quantile(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_interval_is_binomial() {
        // 900 of 1000 correct: a standard deviation of 0.0095.
        let labels = vec![0; 1000];
        let scores = (0..1000).flat_map(|i| if i < 900 { [0.8, 0.2] } else { [0.3, 0.7] }).collect();
        let predictions = Predictions::new(2, labels, scores).unwrap();
        let metrics = ["accuracy", "roc_auc"];
        let intervals = bootstrap(&predictions, &metrics, 1000, 3).unwrap();
        assert_eq!(intervals.len(), 1, "the ROC-AUC of one class is undefined");
        let ConfidenceInterval { name, value, low, high } = &intervals[0];
        assert_eq!((name.as_str(), *value), ("accuracy", 0.9));
        assert!((low - (0.9 - 1.96 * 0.0095)).abs() < 0.003, "{low}");
        assert!((high - (0.9 + 1.96 * 0.0095)).abs() < 0.003, "{high}");
        assert_eq!(bootstrap(&predictions, &metrics, 1000, 3).unwrap(), intervals);
        assert!(
            bootstrap(&Predictions::new(2, vec![], vec![]).unwrap(), &metrics, 10, 0).unwrap().is_empty()
        );
    }
}
