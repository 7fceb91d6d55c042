//! Whether one detector is better than another on the same samples.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{draw, middle};
use crate::{Error, Predictions, Result, metric_by_name};

/// McNemar's test of two detectors on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Samples that only the first predicts correctly.
    pub only_first: u64,
    /// Samples that only the second predicts correctly.
    pub only_second: u64,
    /// How likely a difference of this size is, or a larger one, if both err equally often: the exact binomial test, two-sided.
    pub p_value: f64,
}

/// McNemar's exact test (McNemar 1947; Dietterich, *Approximate Statistical Tests*, 1998, section 3.1).
///
/// ```
/// use faknow_metrics::{Predictions, mcnemar};
///
/// let labels = vec![0; 10];
/// let always = |class: usize| if class == 0 { vec![0.9, 0.1] } else { vec![0.1, 0.9] };
/// let right = Predictions::new(2, labels.clone(), always(0).repeat(10))?;
/// let wrong = Predictions::new(2, labels, always(1).repeat(10))?;
/// assert_eq!(mcnemar(&right, &wrong)?.p_value, 2.0 / 1024.0);
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
///
/// # Errors
/// The samples of the two differ in number or labels.
pub fn mcnemar(first: &Predictions, second: &Predictions) -> Result<McNemar> {
    check_pairs(first, second)?;
    let (mut only_first, mut only_second) = (0, 0);
    for (label, judged) in first.labels().iter().zip(first.predicted().iter().zip(second.predicted())) {
        match (judged.0 == label, judged.1 == label) {
            (true, false) => only_first += 1,
            (false, true) => only_second += 1,
            _ => {}
        }
    }
    let p_value = two_sided_binomial(u64::min(only_first, only_second), only_first + only_second);
    Ok(McNemar { only_first, only_second, p_value })
}

/// The difference of a metric between two detectors, with its 95 % confidence interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The metric's name.
    pub name: String,
    /// Second less first.
    pub value: f64,
    /// 2.5 % of the resampled differences are below this.
    pub low: f64,
    /// 2.5 % are above this.
    pub high: f64,
}

/// How much higher `metric` is for the second detector than for the first, by samples of pairs drawn with replacement; `None` where
/// it has no value.
///
/// # Errors
/// The samples of the two differ in number or labels, or there is no such metric.
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
        .map(|number| {
            let sample = draw(first.n_samples(), seed, number);
            difference(&first.select(&sample)?, &second.select(&sample)?)
        })
        .collect::<Result<_>>()?;
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    let name = metric.to_owned();
    Ok(middle(&mut values).map(|(low, high)| Difference { name, value, low, high }))
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
            expected: "those of the first: both must be tested on the same samples in the same order",
        }),
    }
}

/// How likely at most `k` or at least `n - k` heads are in `n` throws.
fn two_sided_binomial(k: u64, n: u64) -> f64 {
    // Logarithms, since 2^-n is not an f64 from n = 1075 on.
    let half = -(n as f64) * 2.0_f64.ln();
    let (mut choose, mut sum) = (0.0_f64, 0.0_f64);
    for i in 0..=k {
        sum += (choose + half).exp();
        choose += ((n - i) as f64).ln() - ((i + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `right` of 200 samples predicted correctly, from the sample `from` on.
    fn judged(from: usize, right: usize) -> Predictions {
        let labels: Vec<usize> = (0..200).map(|i| i % 2).collect();
        let score = |i: usize| {
            let is_right = (from..from + right).contains(&i);
            if (labels[i] == 1) == is_right { [0.2, 0.8] } else { [0.8, 0.2] }
        };
        Predictions::new(2, labels.clone(), (0..200).flat_map(score).collect()).unwrap()
    }

    #[test]
    fn the_exact_test_equals_sums_by_hand() {
        // scipy.stats.binomtest(k, n, 0.5).pvalue
        for (k, n, expected) in [(0, 0, 1.0), (0, 5, 0.0625), (2, 10, 0.109375), (5, 10, 1.0)] {
            let p = two_sided_binomial(k, n);
            assert!((p - expected).abs() < 1e-12, "{k} of {n}: {p}");
        }
        let p = two_sided_binomial(950, 2000);
        assert!((p - 0.026_834).abs() < 1e-4, "{p}");
    }

    #[test]
    fn a_better_detector_is_told_from_an_equal_one() {
        let (a, b, c) = (judged(0, 150), judged(10, 180), judged(50, 150));
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
    fn other_samples_are_refused() {
        let other = Predictions::new(2, vec![1; 200], vec![0.5; 400]).unwrap();
        let error = mcnemar(&judged(0, 1), &other).unwrap_err().to_string();
        assert!(error.contains("same samples"), "{error}");
        assert!(mcnemar(&judged(0, 1), &Predictions::new(2, vec![], vec![]).unwrap()).is_err());
    }
}
