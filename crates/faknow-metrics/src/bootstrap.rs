//! How far a metric of a sample may be from that of all such samples: confidence intervals by resampling.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Metrics, Predictions, Result};

/// A metric with its 95 % confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceInterval {
    /// The metric's name.
    pub name: String,
    /// Its value on the samples as they are.
    pub value: f64,
    /// 2.5 % of the resampled values are below this.
    pub low: f64,
    /// 2.5 % are above this.
    pub high: f64,
}

/// Confidence intervals of 95 % of the metrics that have a value, by the percentiles of `n_resamples` samples drawn from these with
/// replacement (Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13).
///
/// The same seed gives the same intervals, whatever the number of threads. Resamples in which a metric is undefined are left out of
/// its interval.
///
/// # Errors
/// There is no metric of one of these names.
pub fn bootstrap(
    predictions: &Predictions,
    metrics: &[&str],
    n_resamples: usize,
    seed: u64,
) -> Result<Vec<ConfidenceInterval>> {
    let whole = Metrics::from_names(metrics)?.compute(predictions)?;
    let make = || Metrics::from_names(metrics);
    let resampled: Vec<_> = (0..n_resamples as u64)
        .into_par_iter()
        .map_init(
            || make().ok(),
            |metrics, number| {
                let sample = predictions.select(&draw(predictions.n_samples(), seed, number))?;
                match metrics {
                    Some(metrics) => metrics.compute(&sample),
                    None => make()?.compute(&sample),
                }
            },
        )
        .collect::<Result<_>>()?;
    let interval = |name: &str, value: f64| {
        let mut values: Vec<f64> =
            resampled.iter().filter_map(|scores| scores.get(name)?.defined()).collect();
        let (low, high) = middle(&mut values)?;
        Some(ConfidenceInterval { name: name.to_owned(), value, low, high })
    };
    Ok(whole.iter().filter_map(|(name, score)| interval(name, score.defined()?)).collect())
}

/// The positions of a sample of `n`, drawn with replacement.
pub(crate) fn draw(n: usize, seed: u64, number: u64) -> Vec<usize> {
    let mut rng = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..n).map(|_| rng.usize(..n)).collect()
}

/// Between which 95 % of the values lie.
pub(crate) fn middle(values: &mut [f64]) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        values[below] + part * (values[(below + 1).min(last)] - values[below])
    };
    Some((at(0.025), at(0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_an_accuracy_is_that_of_a_binomial() {
        // 900 of 1000 right: a standard deviation of 0.0095.
        let labels = vec![0; 1000];
        let scores = (0..1000).flat_map(|i| if i < 900 { [0.8, 0.2] } else { [0.3, 0.7] }).collect();
        let predictions = Predictions::new(2, labels, scores).unwrap();
        let metrics = ["accuracy", "roc_auc"];
        let intervals = bootstrap(&predictions, &metrics, 1000, 3).unwrap();
        assert_eq!(intervals.len(), 1, "of one class there is no area");
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
