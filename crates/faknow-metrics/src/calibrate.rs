//! What is chosen on validation data after training: a temperature and thresholds.

use serde::{Deserialize, Serialize};

use crate::{Decision, PrCurve, Predictions, Result, Score, expected_calibration_error, log_loss};

/// Limits of a temperature: beyond them a model is so far off that its scores mean nothing.
const LIMITS: (f64, f64) = (0.05, 20.0);
/// Bins of the calibration error, as everywhere.
const BINS: usize = 15;

/// What validation says of how scores are to be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Samples that it was chosen on.
    pub n_samples: usize,
    /// What logits are to be divided by; 1 if that could not be chosen.
    pub temperature: f64,
    /// Mean negative log-likelihood with the scores as they are, and after the temperature.
    pub log_loss: [Score; 2],
    /// Expected calibration error (15 bins), the same.
    pub ece: [Score; 2],
    /// Thresholds for the score of the second class, after the temperature; none unless there are two classes.
    pub thresholds: Option<Thresholds>,
}

/// Thresholds for the score of the second of two classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// The one with the highest F1.
    pub f1: OperatingPoint,
    /// The requested precision.
    #[serde(rename = "wanted_precision")]
    pub target_precision: f64,
    /// The one with the highest recall among those of at least that precision; `None` if there is none.
    pub precision: Option<OperatingPoint>,
}

/// What the second of two classes scores at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// A sample is predicted to be of the second class if its score is at least this.
    pub threshold: f64,
    /// Share of the samples predicted to be of it that are.
    pub precision: f64,
    /// Share of its samples that are predicted to be of it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

impl Calibration {
    /// Chooses the temperature that makes the labels most likely (Guo et al., *On Calibration of Modern Neural Networks*, ICML
    /// 2017, section 4.2), then thresholds for scores at that temperature; `target_precision` is from 0 to 1.
    ///
    /// Without a single mistake among the predictions no temperature is the best, and it stays 1; so it does if the scores are no
    /// probabilities.
    ///
    /// # Errors
    /// None, unless the predictions have no samples.
    pub fn fit(predictions: &Predictions, target_precision: f64, with_temperature: bool) -> Result<Self> {
        let temperature = if with_temperature { best_temperature(predictions) } else { 1.0 };
        let scaled = Decision { temperature, threshold: None }.apply(predictions)?;
        let thresholds = match scaled.n_classes() {
            2 => {
                PrCurve::for_class(&scaled, 1).ok().and_then(|curve| Thresholds::of(&curve, target_precision))
            }
            _ => None,
        };
        Ok(Self {
            n_samples: predictions.n_samples(),
            temperature,
            log_loss: [log_loss(predictions), log_loss(&scaled)],
            ece: [predictions, &scaled].map(|scores| expected_calibration_error(scores, BINS)),
            thresholds,
        })
    }
}

impl Thresholds {
    fn of(curve: &PrCurve, target_precision: f64) -> Option<Self> {
        let points = operating_points(curve);
        // Of equal ones the first, which has the highest threshold.
        let best = |points: &mut dyn Iterator<Item = OperatingPoint>, value: fn(&OperatingPoint) -> f64| {
            points.reduce(|best, point| if value(&point) > value(&best) { point } else { best })
        };
        let f1 = best(&mut points.iter().copied(), |point| point.f1)?;
        let mut precise = points.iter().copied().filter(|point| point.precision >= target_precision);
        let precision = best(&mut precise, |point| point.recall);
        Some(Self { f1, target_precision, precision })
    }
}

/// What each distinct score is as a threshold, from the highest down.
pub fn operating_points(curve: &PrCurve) -> Vec<OperatingPoint> {
    let rows = curve.thresholds.iter().zip(curve.precision.iter().zip(&curve.recall));
    let point = |(&threshold, (&precision, &recall)): (&f64, (&f64, &f64))| {
        let f1 = if recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
        OperatingPoint { threshold, precision, recall, f1 }
    };
    // The first point of the curve, at infinity, predicts nothing to be of the class.
    rows.skip(1).map(point).collect()
}

/// The temperature with the smallest log loss, by golden sections of its logarithm: the loss is convex in 1/T, hence has one
/// minimum.
fn best_temperature(predictions: &Predictions) -> f64 {
    let all_right = predictions.labels() == predictions.predicted();
    if all_right || predictions.not_probabilities().is_some() {
        return 1.0;
    }
    let loss = |logarithm: f64| {
        let decision = Decision { temperature: logarithm.exp(), threshold: None };
        let scaled = |row: usize| decision.scale(predictions.row(row))[predictions.labels()[row]];
        let losses = (0..predictions.n_samples()).map(|row| -scaled(row).max(f64::MIN_POSITIVE).ln());
        losses.sum::<f64>()
    };
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (LIMITS.0.ln(), LIMITS.1.ln());
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

    /// Scores of a model that is as often right as it says, made surer by dividing its logits by `temperature`.
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
    fn the_temperature_undoes_what_made_scores_too_sure() {
        for temperature in [0.25, 1.0, 3.0] {
            let calibration = Calibration::fit(&predictions(temperature), 0.9, true).unwrap();
            let found = calibration.temperature * temperature;
            assert!((found - 1.0).abs() < 1e-4, "{temperature}: {found}");
            let [before, after] = calibration.ece.map(|score| score.value().unwrap());
            assert!(after < 1e-4 && before >= after, "{before} {after}");
            let [before, after] = calibration.log_loss.map(|score| score.value().unwrap());
            assert!(before >= after - 1e-12, "{before} {after}");
        }
        assert_eq!(Calibration::fit(&predictions(0.25), 0.9, false).unwrap().temperature, 1.0);
    }

    #[test]
    fn thresholds_are_those_of_the_curve() {
        let thresholds = Calibration::fit(&predictions(1.0), 0.9, false).unwrap().thresholds.unwrap();
        // At 0.95: 95 of 100; at 0.8: 175 of 200; at 0.6: 235 of 300; of 275 in all.
        let point = thresholds.precision.unwrap();
        assert_eq!((point.threshold, point.precision), (0.95, 0.95));
        assert_eq!(point.recall, 95.0 / 275.0);
        let f1 = |right: f64, judged: f64| 2.0 * right / (judged + 275.0);
        assert!((thresholds.f1.f1 - f1(235.0, 300.0)).abs() < 1e-12);
        assert_eq!(thresholds.f1.threshold, 0.6);
        let none = Calibration::fit(&predictions(1.0), 0.99, false).unwrap().thresholds.unwrap();
        assert_eq!(none.precision, None);
    }

    #[test]
    fn what_cannot_be_chosen_stays_as_it_is() {
        let calibration = |n_classes, labels: &[usize], scores: &[f64]| {
            Calibration::fit(
                &Predictions::new(n_classes, labels.to_vec(), scores.to_vec()).unwrap(),
                0.9,
                true,
            )
            .unwrap()
        };
        assert_eq!(calibration(2, &[0, 1], &[0.9, 0.1, 0.2, 0.8]).temperature, 1.0, "no mistake");
        assert_eq!(calibration(2, &[0, 1], &[3.0, 1.0, 2.0, -1.0]).temperature, 1.0, "no probabilities");
        assert_eq!(
            calibration(2, &[0, 0], &[0.9, 0.1, 0.2, 0.8]).thresholds,
            None,
            "nothing of the second class"
        );
        let three = calibration(3, &[0, 2], &[0.5, 0.3, 0.2, 0.5, 0.3, 0.2]);
        assert!(three.thresholds.is_none() && three.temperature > 1.0);
        assert_eq!(calibration(2, &[], &[]).n_samples, 0);
    }
}
