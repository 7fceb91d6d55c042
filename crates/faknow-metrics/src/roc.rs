//! Ranking metrics: ROC and precision-recall curves, and the areas under them.

use serde::Serialize;

use crate::classwise::weighted_mean;
use crate::confusion::{NO_SAMPLES, absent};
use crate::{Error, Predictions, Result, Score};

/// A ROC curve: true against false positive rates for descending thresholds.
///
/// Point 0 is (0, 0) at the threshold infinity; then follows one point per distinct score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RocCurve {
    /// Fraction of the negative samples with a score of at least the threshold, from 0 to 1.
    pub false_positive_rate: Vec<f64>,
    /// Fraction of the positive samples with a score of at least the threshold, from 0 to 1.
    pub true_positive_rate: Vec<f64>,
    /// Thresholds, descending; a sample is predicted positive if its score is at least the threshold.
    pub thresholds: Vec<f64>,
}

impl RocCurve {
    /// Computes the curve of `class` against the rest.
    ///
    /// # Errors
    /// `class` is out of range, or not both samples of it and of other classes occur.
    pub fn for_class(predictions: &Predictions, class: usize) -> Result<Self> {
        Self::from_sorted(&sorted_of_class(predictions, check_class(predictions, class)?))
    }

    /// Computes the area under the curve.
    ///
    /// # Errors
    /// The lists were changed and are not a curve any more, see [`auc`].
    pub fn area(&self) -> Result<f64> {
        auc(&self.false_positive_rate, &self.true_positive_rate)
    }

    /// Returns at most `n_points` points (at least both ends), evenly spaced by index, for plotting.
    pub fn downsample(&self, n_points: usize) -> Self {
        let indices = evenly_spaced(self.thresholds.len(), n_points);
        Self {
            false_positive_rate: select(&self.false_positive_rate, &indices),
            true_positive_rate: select(&self.true_positive_rate, &indices),
            thresholds: select(&self.thresholds, &indices),
        }
    }

    fn from_sorted(sorted: &[(f64, bool)]) -> Result<Self> {
        let (positives, negatives) = totals(sorted);
        if positives == 0 || negatives == 0 {
            let which = if positives == 0 { "positive" } else { "negative" };
            return Err(Error::Undefined { what: "the ROC curve", reason: format!("no sample is {which}") });
        }
        let mut curve = Self {
            false_positive_rate: vec![0.0],
            true_positive_rate: vec![0.0],
            thresholds: vec![f64::INFINITY],
        };
        for point in curve_points(sorted) {
            curve.false_positive_rate.push(point.false_positives as f64 / negatives as f64);
            curve.true_positive_rate.push(point.true_positives as f64 / positives as f64);
            curve.thresholds.push(point.threshold);
        }
        Ok(curve)
    }
}

/// A precision-recall curve for descending thresholds.
///
/// Point 0 is recall 0, precision 1 at the threshold infinity, by convention; then follows one point per distinct score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrCurve {
    /// Fraction of the samples with a score of at least the threshold that are positive.
    pub precision: Vec<f64>,
    /// Fraction of the positive samples with a score of at least the threshold, from 0 to 1.
    pub recall: Vec<f64>,
    /// Thresholds, descending; a sample is predicted positive if its score is at least the threshold.
    pub thresholds: Vec<f64>,
}

impl PrCurve {
    /// Computes the curve of `class` against the rest.
    ///
    /// # Errors
    /// `class` is out of range or does not occur in the labels.
    pub fn for_class(predictions: &Predictions, class: usize) -> Result<Self> {
        Self::from_sorted(&sorted_of_class(predictions, check_class(predictions, class)?))
    }

    /// Returns at most `n_points` points (at least both ends), evenly spaced by index, for plotting.
    pub fn downsample(&self, n_points: usize) -> Self {
        let indices = evenly_spaced(self.thresholds.len(), n_points);
        Self {
            precision: select(&self.precision, &indices),
            recall: select(&self.recall, &indices),
            thresholds: select(&self.thresholds, &indices),
        }
    }

    fn from_sorted(sorted: &[(f64, bool)]) -> Result<Self> {
        let (positives, _) = totals(sorted);
        if positives == 0 {
            let reason = "no sample is positive".to_owned();
            return Err(Error::Undefined { what: "the precision-recall curve", reason });
        }
        let mut curve = Self { precision: vec![1.0], recall: vec![0.0], thresholds: vec![f64::INFINITY] };
        for point in curve_points(sorted) {
            curve.precision.push(point.precision());
            curve.recall.push(point.true_positives as f64 / positives as f64);
            curve.thresholds.push(point.threshold);
        }
        Ok(curve)
    }
}

/// Computes the ROC curve of `scores`, which are higher for samples predicted positive.
///
/// ```
/// use faknow_metrics::roc_curve;
///
/// let curve = roc_curve(&[true, false, true, false], &[0.9, 0.6, 0.6, 0.1])?;
/// assert_eq!(curve.false_positive_rate, [0.0, 0.0, 0.5, 1.0]);
/// assert_eq!(curve.true_positive_rate, [0.0, 0.5, 1.0, 1.0]);
/// assert_eq!(curve.area()?, 0.875);
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
///
/// # Errors
/// The lists differ in length, a score is not finite, or all samples are positive or all negative.
pub fn roc_curve(positive: &[bool], scores: &[f64]) -> Result<RocCurve> {
    RocCurve::from_sorted(&sorted_checked(positive, scores)?)
}

/// Computes the precision-recall curve of `scores`, which are higher for samples predicted positive.
///
/// # Errors
/// The lists differ in length, a score is not finite, or all samples are negative.
pub fn pr_curve(positive: &[bool], scores: &[f64]) -> Result<PrCurve> {
    PrCurve::from_sorted(&sorted_checked(positive, scores)?)
}

/// Computes the area under a curve by the trapezoidal rule; `x` must be non-decreasing.
///
/// # Errors
/// The lists differ in length or have fewer than two values, a value is not finite, or `x` decreases.
pub fn auc(x: &[f64], y: &[f64]) -> Result<f64> {
    if x.len() < 2 {
        let reason = format!("expected at least 2 points, got {}", x.len());
        return Err(Error::Undefined { what: "the area under the curve", reason });
    }
    if y.len() != x.len() {
        return Err(Error::Length { what: "y", expected: x.len(), got: y.len() });
    }
    for (what, list) in [("x", x), ("y", y)] {
        check_finite(what, list)?;
    }
    if let Some(index) = (1..x.len()).find(|&i| x[i] < x[i - 1]) {
        return Err(Error::Value {
            what: "x",
            index,
            value: x[index],
            expected: "at least the previous value",
        });
    }
    Ok((1..x.len()).map(|i| (x[i] - x[i - 1]) * (y[i] + y[i - 1]) / 2.0).sum())
}

/// Computes ROC-AUC from scores: of class 1 with two classes, else the mean over the classes, each against the rest.
///
/// Undefined if a class does not occur, or is the only one that does.
pub(crate) fn roc_auc(predictions: &Predictions) -> Score {
    over_classes(predictions, |ranking| &ranking.roc_auc)
}

/// Computes average precision from scores: of class 1 with two classes, else the mean over the classes, each against the
/// rest.
///
/// Undefined if a class does not occur, which counts as 0 by convention.
pub(crate) fn average_precision(predictions: &Predictions) -> Score {
    over_classes(predictions, |ranking| &ranking.average_precision)
}

fn over_classes(predictions: &Predictions, value: impl Fn(&Ranking) -> &Score) -> Score {
    match predictions.n_classes() {
        _ if predictions.n_samples() == 0 => Score::undefined(NO_SAMPLES),
        2 => value(predictions.ranking(1)).clone(),
        n => weighted_mean((0..n).map(|class| (value(predictions.ranking(class)), 1.0))),
    }
}

/// The ranking metrics of one class against the rest.
pub(crate) struct Ranking {
    /// Probability that a sample of the class has a higher score than another sample; a tie counts one half.
    pub(crate) roc_auc: Score,
    /// Sum over the thresholds of precision times the increase in recall.
    pub(crate) average_precision: Score,
}

impl Ranking {
    pub(crate) fn for_class(predictions: &Predictions, class: usize) -> Self {
        let sorted = sorted_of_class(predictions, class);
        let (positives, negatives) = totals(&sorted);
        // Counted as integer half pairs, so the result does not depend on the order of ties.
        let (mut half_pairs, mut average_precision) = (0_u128, 0.0);
        let mut previous = CurvePoint { threshold: f64::INFINITY, true_positives: 0, false_positives: 0 };
        for point in curve_points(&sorted) {
            half_pairs += u128::from(point.false_positives - previous.false_positives)
                * u128::from(point.true_positives + previous.true_positives);
            let gained = (point.true_positives - previous.true_positives) as f64;
            average_precision += gained * point.precision();
            previous = point;
        }
        let roc_auc = match (positives, negatives) {
            (0, 0) => Score::undefined(NO_SAMPLES),
            (0, _) => Score::undefined(absent(class)),
            (_, 0) => Score::undefined(format!("all labels are of class {class}")),
            _ => {
                let pairs = u128::from(positives) * u128::from(negatives);
                Score::Defined(half_pairs as f64 / (2 * pairs) as f64)
            }
        };
        let average_precision = match (positives, negatives) {
            (0, 0) => Score::undefined(NO_SAMPLES),
            (0, _) => Score::undefined_or(absent(class), 0.0),
            _ => Score::Defined(average_precision / positives as f64),
        };
        Self { roc_auc, average_precision }
    }
}

/// A point of a curve: the counts of samples with a score of at least the threshold.
#[derive(Clone, Copy)]
struct CurvePoint {
    threshold: f64,
    true_positives: u64,
    false_positives: u64,
}

impl CurvePoint {
    fn precision(&self) -> f64 {
        self.true_positives as f64 / (self.true_positives + self.false_positives) as f64
    }
}

/// Returns one curve point per distinct score, in descending order.
fn curve_points(sorted: &[(f64, bool)]) -> impl Iterator<Item = CurvePoint> {
    let (mut true_positives, mut false_positives) = (0, 0);
    sorted.chunk_by(|a, b| a.0 == b.0).map(move |ties| {
        let (positives, negatives) = totals(ties);
        true_positives += positives;
        false_positives += negatives;
        CurvePoint { threshold: ties[0].0, true_positives, false_positives }
    })
}

/// Counts the positive and the negative samples.
fn totals(samples: &[(f64, bool)]) -> (u64, u64) {
    let positives = samples.iter().filter(|(_, positive)| *positive).count();
    (positives as u64, (samples.len() - positives) as u64)
}

/// Sorts by descending score.
fn sort(samples: impl Iterator<Item = (f64, bool)>) -> Vec<(f64, bool)> {
    // As integers, which are sorted in half the time of floats: bootstrap intervals sort thousands of times.
    let mut keys: Vec<u128> = samples.map(|(score, positive)| to_key(score, positive)).collect();
    keys.sort_unstable();
    keys.into_iter().map(from_key).collect()
}

/// Returns an integer that is smaller for a higher score, in the order of [`f64::total_cmp`].
fn to_key(score: f64, positive: bool) -> u128 {
    let bits = score.to_bits();
    let ascending = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    u128::from(!ascending) << 1 | u128::from(positive)
}

fn from_key(key: u128) -> (f64, bool) {
    let ascending = !((key >> 1) as u64);
    let bits = if ascending >> 63 == 1 { ascending & !(1 << 63) } else { !ascending };
    (f64::from_bits(bits), key & 1 == 1)
}

fn sorted_of_class(predictions: &Predictions, class: usize) -> Vec<(f64, bool)> {
    let scores = predictions.scores().iter().skip(class).step_by(predictions.n_classes());
    sort(scores.zip(predictions.labels()).map(|(score, label)| (*score, *label == class)))
}

fn sorted_checked(positive: &[bool], scores: &[f64]) -> Result<Vec<(f64, bool)>> {
    if scores.len() != positive.len() {
        return Err(Error::Length { what: "scores", expected: positive.len(), got: scores.len() });
    }
    check_finite("scores", scores)?;
    Ok(sort(scores.iter().copied().zip(positive.iter().copied())))
}

fn check_class(predictions: &Predictions, class: usize) -> Result<usize> {
    let n_classes = predictions.n_classes();
    if class < n_classes { Ok(class) } else { Err(Error::UnknownClass { class, n_classes }) }
}

fn check_finite(what: &'static str, list: &[f64]) -> Result<()> {
    match list.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::Value { what, index, value: list[index], expected: "a finite number" }),
        None => Ok(()),
    }
}

/// Returns at most `n` of the indices `0..len`, including the first and the last.
fn evenly_spaced(len: usize, n: usize) -> Vec<usize> {
    let n = n.max(2);
    if len <= n {
        return (0..len).collect();
    }
    (0..n).map(|i| i * (len - 1) / (n - 1)).collect()
}

fn select(list: &[f64], indices: &[usize]) -> Vec<f64> {
    indices.iter().filter_map(|&i| list.get(i).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_one_point_per_distinct_score() {
        let labels = [false, true, true, false, true];
        let scores = [0.1, 0.8, 0.5, 0.5, 0.9];
        let roc = roc_curve(&labels, &scores).unwrap();
        assert_eq!(roc.thresholds, [f64::INFINITY, 0.9, 0.8, 0.5, 0.1]);
        assert_eq!(roc.false_positive_rate, [0.0, 0.0, 0.0, 0.5, 1.0]);
        assert_eq!(roc.true_positive_rate, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0]);
        assert!((roc.area().unwrap() - 11.0 / 12.0).abs() < 1e-15);
        let pr = pr_curve(&labels, &scores).unwrap();
        assert_eq!(pr.recall, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0]);
        assert_eq!(pr.precision, [1.0, 1.0, 1.0, 0.75, 0.6]);
    }

    #[test]
    fn sorts_any_scores_in_descending_order() {
        let scores = [0.5, -1.0, 1e300, f64::MIN_POSITIVE, -0.0, 0.0, -1e-300, 0.5];
        let sorted = sort(scores.iter().enumerate().map(|(index, &score)| (score, index % 2 == 0)));
        let mut expected: Vec<(f64, bool)> =
            scores.iter().enumerate().map(|(index, &score)| (score, index % 2 == 0)).collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        assert_eq!(sorted, expected);
    }

    #[test]
    fn areas_equal_integrals_of_curves() {
        // Pseudo-random scores with many ties, 3 classes.
        let n = 500;
        let mix = |i: usize| (i * 2_654_435_761) % 1009;
        let labels: Vec<usize> = (0..n).map(|i| mix(i + 7) % 3).collect();
        let scores: Vec<f64> = (0..3 * n).map(|i| (mix(i) % 37) as f64).collect();
        let predictions = Predictions::new(3, labels, scores).unwrap();
        let mut areas = 0.0;
        for class in 0..3 {
            let area = RocCurve::for_class(&predictions, class).unwrap().area().unwrap();
            let expected = predictions.ranking(class).roc_auc.value().unwrap();
            assert!((area - expected).abs() < 1e-12, "class {class}: {area} {expected}");
            areas += area / 3.0;

            let pr = PrCurve::for_class(&predictions, class).unwrap();
            let steps = (1..pr.recall.len()).map(|i| (pr.recall[i] - pr.recall[i - 1]) * pr.precision[i]);
            let expected = predictions.ranking(class).average_precision.value().unwrap();
            assert!((steps.sum::<f64>() - expected).abs() < 1e-12, "class {class}");
        }
        assert!((roc_auc(&predictions).value().unwrap() - areas).abs() < 1e-12);
    }

    #[test]
    fn negative_and_positive_zero_are_one_threshold() {
        let predictions = Predictions::new(2, vec![0, 1], vec![0.0, 0.0, 0.0, -0.0]).unwrap();
        assert_eq!(roc_auc(&predictions), Score::Defined(0.5));
    }

    #[test]
    fn undefined_areas_have_reasons() {
        let check =
            |n_classes: usize, labels: &[usize], auc: (&str, Option<f64>), ap: (&str, Option<f64>)| {
                let scores = vec![1.0 / n_classes as f64; labels.len() * n_classes];
                let predictions = Predictions::new(n_classes, labels.to_vec(), scores).unwrap();
                let of = |(reason, convention): (&str, Option<f64>)| match reason {
                    "" => Score::Defined(convention.unwrap()),
                    _ => Score::Undefined { reason: reason.to_owned(), convention },
                };
                assert_eq!(roc_auc(&predictions), of(auc), "{labels:?}");
                assert_eq!(average_precision(&predictions), of(ap), "{labels:?}");
            };
        check(2, &[], (NO_SAMPLES, None), (NO_SAMPLES, None));
        let absent = "class 1 does not occur in the labels";
        check(2, &[0, 0], (absent, None), (absent, Some(0.0)));
        check(2, &[1, 1], ("all labels are of class 1", None), ("", Some(1.0)));
        check(3, &[0, 2], (absent, None), (absent, Some(1.0 / 3.0)));
        check(2, &[0, 1], ("", Some(0.5)), ("", Some(0.5)));
    }

    #[test]
    fn rejects_invalid_input() {
        let message = |result: Result<RocCurve>| result.unwrap_err().to_string();
        assert_eq!(message(roc_curve(&[true], &[])), "scores: expected 1 values, got 0");
        assert_eq!(
            message(roc_curve(&[true, false], &[0.5, f64::NAN])),
            "scores[1]: expected a finite number, got NaN"
        );
        assert_eq!(message(roc_curve(&[true], &[0.5])), "the ROC curve is undefined: no sample is negative");
        assert_eq!(
            pr_curve(&[false], &[0.5]).unwrap_err().to_string(),
            "the precision-recall curve is undefined: no sample is positive"
        );
        let predictions = Predictions::new(2, vec![0], vec![0.5, 0.5]).unwrap();
        assert_eq!(message(RocCurve::for_class(&predictions, 2)), "class: expected 0..=1, got 2");
        let area = |x: &[f64], y: &[f64]| auc(x, y).unwrap_err().to_string();
        assert_eq!(
            area(&[0.0], &[0.0]),
            "the area under the curve is undefined: expected at least 2 points, got 1"
        );
        assert_eq!(area(&[0.0, 1.0], &[0.0]), "y: expected 2 values, got 1");
        assert_eq!(area(&[0.0, 1.0, 0.5], &[0.0; 3]), "x[2]: expected at least the previous value, got 0.5");
        assert_eq!(auc(&[0.0, 1.0, 3.0], &[0.0, 1.0, 1.0]).unwrap(), 2.5);
    }

    #[test]
    fn downsample_keeps_both_ends() {
        let check = |len: usize, n: usize, expected: &[usize]| assert_eq!(evenly_spaced(len, n), expected);
        check(5, 10, &[0, 1, 2, 3, 4]);
        check(11, 3, &[0, 5, 10]);
        check(11, 0, &[0, 10]);
        check(1, 1, &[0]);
        let labels: Vec<bool> = (0..100).map(|i| i % 2 == 0).collect();
        let scores: Vec<f64> = (0..100).map(f64::from).collect();
        let small = roc_curve(&labels, &scores).unwrap().downsample(10);
        assert_eq!(small.thresholds.len(), 10);
        assert_eq!((small.true_positive_rate[0], small.true_positive_rate[9]), (0.0, 1.0));
        assert_eq!(pr_curve(&labels, &scores).unwrap().downsample(2).recall, [0.0, 1.0]);
    }
}
