//! Mean and standard deviation of repeated measurements.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The mean and sample standard deviation of repeated measurements.
///
/// ```
/// use faknow_metrics::MeanStd;
///
/// let accuracy = MeanStd::of([0.8, 0.9, 1.0]).unwrap();
/// assert_eq!(accuracy.to_string(), "0.9000 ± 0.1000");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanStd {
    /// The arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation, √(Σ(x − mean)² / (n − 1)); `None` for a single value.
    #[serde(rename = "deviation")]
    pub std: Option<f64>,
    /// Number of values.
    pub n: usize,
}

impl MeanStd {
    /// Computes mean and standard deviation of `values`; `None` without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        // Two passes: the difference of the mean of squares and the square of the mean would lose all digits of a small
        // standard deviation.
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { mean, std, n })
    }
}

/// Four decimals, as in `0.9000 ± 0.1000`; only the mean for a single value.
impl fmt::Display for MeanStd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.std {
            Some(std) => write!(f, "{:.4} ± {std:.4}", self.mean),
            None => write!(f, "{:.4}", self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], mean: f64, std: Option<f64>, text: &str) {
        let summary = MeanStd::of(values.iter().copied()).unwrap();
        assert_eq!((summary.mean, summary.n), (mean, values.len()));
        match (summary.std, std) {
            (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-12, "{values:?}: {got}"),
            (got, expected) => assert_eq!(got, expected, "{values:?}"),
        }
        assert_eq!(summary.to_string(), text);
    }

    #[test]
    fn std_is_that_of_a_sample() {
        // Σ(x − 5)² = 32; with n instead of n − 1 it would be 2.
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        check(&values, 5.0, Some((32.0_f64 / 7.0).sqrt()), "5.0000 ± 2.1381");
        check(&[0.25, 0.75], 0.5, Some(0.125_f64.sqrt()), "0.5000 ± 0.3536");
        check(&[0.5, 0.5, 0.5], 0.5, Some(0.0), "0.5000 ± 0.0000");
        check(&[0.5], 0.5, None, "0.5000");
        assert_eq!(MeanStd::of([]), None);
    }

    #[test]
    fn std_is_exact_for_a_large_mean() {
        let summary = MeanStd::of([1e9, 1e9 + 1.0, 1e9 + 2.0]).unwrap();
        assert_eq!(summary.std, Some(1.0));
    }
}
