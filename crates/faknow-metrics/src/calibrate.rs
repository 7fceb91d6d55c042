//! Calibration on validation data: temperature scaling and decision thresholds.

use serde::{Deserialize, Serialize};

use crate::{Decision, PrCurve, Predictions, Result, Score, expected_calibration_error, log_loss};

/// Search range of the temperature: outside it, scores are meaningless.
const TEMPERATURE_RANGE: (f64, f64) = (0.05, 20.0);
/// Number of bins of the calibration error.
const N_BINS: usize = 15;

/// A temperature and thresholds fitted on validation data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Number of validation samples.
    pub n_samples: usize,
    /// Temperature to divide logits by; 1 if it could not be fitted.
    pub temperature: f64,
    /// Log loss before and after temperature scaling.
    pub log_loss: [Score; 2],
    /// Expected calibration error (15 bins) before and after temperature scaling.
    pub ece: [Score; 2],
    /// Thresholds for the score of the second class, after temperature scaling; `None` unless there are two classes and samples
    /// of the second.
    pub thresholds: Option<Thresholds>,
}

/// Decision thresholds for the score of the second of two classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The threshold with the highest F1.
    pub f1: OperatingPoint,
    /// The required precision.
    #[serde(rename = "wanted_precision")]
    pub target_precision: f64,
    /// The threshold with the highest recall among those of at least the required precision; `None` if there are no such
    /// thresholds.
    pub precision: Option<OperatingPoint>,
}

/// Precision, recall and F1 of the second of two classes at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The second class is predicted if its score is at least this.
    pub threshold: f64,
    /// Fraction of the predictions of the second class that are correct.
    pub precision: f64,
    /// Fraction of the samples of the second class that are predicted as it.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

impl Calibration {
    /// Fits the temperature that minimizes the log loss (Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017,
    /// section 4.2), if `with_temperature` is set, then thresholds for the scaled scores; `target_precision` is from 0 to 1.
    ///
    /// The temperature stays 1 if all predictions are correct, since no temperature is optimal then, and if the scores are not
    /// probabilities.
    ///
    /// # Errors
    /// The scaled scores are not finite.
    pub fn fit(predictions: &Predictions, target_precision: f64, with_temperature: bool) -> Result<Self> {
        let temperature = if with_temperature { fit_temperature(predictions) } else { 1.0 };
        let scaled = Decision { temperature, threshold: None }.apply(predictions)?;
        let thresholds = match scaled.n_classes() {
            2 => PrCurve::for_class(&scaled, 1)
                .ok()
                .and_then(|curve| Thresholds::from_curve(&curve, target_precision)),
            _ => None,
        };
        Ok(Self {
            n_samples: predictions.n_samples(),
            temperature,
            log_loss: [log_loss(predictions), log_loss(&scaled)],
            ece: [predictions, &scaled].map(|scores| expected_calibration_error(scores, N_BINS)),
            thresholds,
        })
    }
}

impl Thresholds {
    fn from_curve(curve: &PrCurve, target_precision: f64) -> Option<Self> {
        let points = operating_points(curve);
        // In a tie the first, which has the highest threshold.
        let best = |points: &mut dyn Iterator<Item = OperatingPoint>, value: fn(&OperatingPoint) -> f64| {
            points.reduce(|best, point| if value(&point) > value(&best) { point } else { best })
        };
        let f1 = best(&mut points.iter().copied(), |point| point.f1)?;
        let mut precise = points.iter().copied().filter(|point| point.precision >= target_precision);
        let precision = best(&mut precise, |point| point.recall);
        Some(Self { f1, target_precision, precision })
    }
}

/// Returns the operating point of each distinct score as a threshold, in descending order.
pub fn operating_points(curve: &PrCurve) -> Vec<OperatingPoint> {
    let rows = curve.thresholds.iter().zip(curve.precision.iter().zip(&curve.recall));
    let point = |(&threshold, (&precision, &recall)): (&f64, (&f64, &f64))| {
        let f1 = if recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
        OperatingPoint { threshold, precision, recall, f1 }
    };
    // At the first point of the curve, at infinity, the class is never predicted.
    rows.skip(1).map(point).collect()
}

/// Returns the temperature with the smallest log loss, by golden-section search over its logarithm: the loss is convex in
/// 1/T, so it has one minimum.
fn fit_temperature(predictions: &Predictions) -> f64 {
    let all_correct = predictions.labels() == predictions.predicted();
    if all_correct || predictions.probability_error().is_some() {
        return 1.0;
    }
    let loss = |log_temperature: f64| {
        let decision = Decision { temperature: log_temperature.exp(), threshold: None };
        let probability = |row: usize| decision.scale(predictions.row(row))[predictions.labels()[row]];
        let losses = (0..predictions.n_samples()).map(|row| -probability(row).max(f64::MIN_POSITIVE).ln());
        losses.sum::<f64>()
    };
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (TEMPERATURE_RANGE.0.ln(), TEMPERATURE_RANGE.1.ln());
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    while high - low > 1e-6 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = loss(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = loss(right);
        }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the predictions of a calibrated model, with its logits divided by `temperature`.
    fn predictions(temperature: f64) -> Predictions {
        let (mut labels, mut scores) = (Vec::new(), Vec::new());
        for percent in [10, 30, 60, 80, 95] {
            for sample in 0..100 {
                labels.push(usize::from(sample < percent));
                let second = f64::from(percent as u8) / 100.0;
                scores.extend(Decision { temperature, threshold: None }.scale(&[1.0 - second, second]));
            }
        }
        Predictions::new(2, labels, scores).unwrap()
    }

    #[test]
    fn fit_recovers_the_temperature() {
        for temperature in [0.25, 1.0, 3.0] {
            let calibration = Calibration::fit(&predictions(temperature), 0.9, true).unwrap();
            let product = calibration.temperature * temperature;
            assert!((product - 1.0).abs() < 1e-4, "{temperature}: {product}");
            let [before, after] = calibration.ece.map(|score| score.value().unwrap());
            assert!(after < 1e-4 && before >= after, "{before} {after}");
            let [before, after] = calibration.log_loss.map(|score| score.value().unwrap());
            assert!(before >= after - 1e-12, "{before} {after}");
        }
        assert_eq!(Calibration::fit(&predictions(0.25), 0.9, false).unwrap().temperature, 1.0);
    }

    #[test]
    fn thresholds_are_points_of_the_curve() {
        let thresholds = Calibration::fit(&predictions(1.0), 0.9, false).unwrap().thresholds.unwrap();
        // Correct of predicted: 95 of 100 at 0.95, 175 of 200 at 0.8, 235 of 300 at 0.6; 275 samples of the class.
        let point = thresholds.precision.unwrap();
        assert_eq!((point.threshold, point.precision), (0.95, 0.95));
        assert_eq!(point.recall, 95.0 / 275.0);
        let f1 = |n_correct: f64, n_predicted: f64| 2.0 * n_correct / (n_predicted + 275.0);
        assert!((thresholds.f1.f1 - f1(235.0, 300.0)).abs() < 1e-12);
        assert_eq!(thresholds.f1.threshold, 0.6);
        let unreachable = Calibration::fit(&predictions(1.0), 0.99, false).unwrap().thresholds.unwrap();
        assert_eq!(unreachable.precision, None);
    }

    #[test]
    fn fit_keeps_defaults_where_nothing_can_be_fitted() {
        let calibration = |n_classes, labels: &[usize], scores: &[f64]| {
            Calibration::fit(
                &Predictions::new(n_classes, labels.to_vec(), scores.to_vec()).unwrap(),
                0.9,
                true,
            )
            .unwrap()
        };
        assert_eq!(calibration(2, &[0, 1], &[0.9, 0.1, 0.2, 0.8]).temperature, 1.0, "all correct");
        assert_eq!(calibration(2, &[0, 1], &[3.0, 1.0, 2.0, -1.0]).temperature, 1.0, "not probabilities");
        assert_eq!(
            calibration(2, &[0, 0], &[0.9, 0.1, 0.2, 0.8]).thresholds,
            None,
            "no samples of the second class"
        );
        let three = calibration(3, &[0, 2], &[0.5, 0.3, 0.2, 0.5, 0.3, 0.2]);
        assert!(three.thresholds.is_none() && three.temperature > 1.0);
        assert_eq!(calibration(2, &[], &[]).n_samples, 0);
    }
}
