//! The table `[decision]` of a config: calibration of scores and decision threshold, on the validation data.

use std::path::Path;

use faknow_metrics::{Calibration, Decision, Predictions};
use faknow_report::{CALIBRATION, Calibrated};
use serde::{Deserialize, Serialize};

use crate::files::{read_json, write_json};
use crate::{Error, Result};

/// Calibration of scores and decision threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionConfig {
    /// Whether to calibrate scores by temperature scaling on the validation data, which does not change the class with the
    /// highest score. Default true.
    pub temperature: bool,
    /// Minimum score of the second class to predict it: `highest` (predict the class with the highest score), `f1` (maximize
    /// F1 on the validation data), `precision` (maximize recall there at the precision below), or a number from 0 to 1. All
    /// but `highest` require two classes. Default `highest`.
    pub threshold: Threshold,
    /// The precision for the threshold `precision`, from 0 to 1. Default 0.9.
    pub precision: f64,
}

impl Default for DecisionConfig {
    fn default() -> Self {
        Self { temperature: true, threshold: Threshold::default(), precision: 0.9 }
    }
}

/// The minimum score of the second of two classes to predict it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Threshold {
    /// A threshold chosen on the validation data, or none.
    Rule(ThresholdRule),
    /// A fixed threshold, from 0 to 1.
    Fixed(f64),
}

/// The rule that chooses a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// No threshold: predicts the class with the highest score.
    Highest,
    /// The threshold with the highest F1.
    F1,
    /// The threshold with the highest recall at the required precision.
    Precision,
}

impl Default for Threshold {
    fn default() -> Self {
        Self::Rule(ThresholdRule::Highest)
    }
}

impl std::str::FromStr for Threshold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let threshold = match text {
            "highest" => Self::Rule(ThresholdRule::Highest),
            "f1" => Self::Rule(ThresholdRule::F1),
            "precision" => Self::Rule(ThresholdRule::Precision),
            number => Self::Fixed(number.parse().map_err(|_| threshold_error(number))?),
        };
        threshold.check()?;
        Ok(threshold)
    }
}

impl Threshold {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Fixed(value) if !(0.0..=1.0).contains(&value) => Err(threshold_error(&value.to_string())),
            _ => Ok(()),
        }
    }
}

fn threshold_error(got: &str) -> Error {
    Error::config(
        "decision.threshold",
        format!("expected highest, f1, precision, or a number from 0 to 1, got `{got}`"),
    )
}

impl DecisionConfig {
    pub(crate) fn check(&self, n_classes: usize) -> Result<()> {
        self.threshold.check()?;
        if !(0.0..=1.0).contains(&self.precision) {
            let message = format!("expected a number from 0 to 1, got {}", self.precision);
            return Err(Error::config("decision.precision", message));
        }
        if n_classes != 2 && self.threshold != Threshold::default() {
            let message = format!(
                "expected highest, since other thresholds require two classes, got {n_classes} classes"
            );
            return Err(Error::config("decision.threshold", message));
        }
        Ok(())
    }
}

/// Calibrates scores and chooses the threshold on the validation predictions. Without such a threshold, logs a warning and
/// predicts the class with the highest score.
pub(crate) fn calibrate(config: &DecisionConfig, valid: Option<&Predictions>) -> Result<Calibrated> {
    let calibration =
        valid.map(|valid| Calibration::fit(valid, config.precision, config.temperature)).transpose()?;
    let mut calibrated = Calibrated { decision: Decision::default(), calibration };
    calibrated.decision.temperature =
        calibrated.calibration.as_ref().map_or(1.0, |calibration| calibration.temperature);
    match threshold_value(&calibrated, config.threshold) {
        Ok(threshold) => calibrated.decision.threshold = threshold,
        Err(error) => tracing::warn!("{error}; predicting the class with the highest score"),
    }
    Ok(calibrated)
}

/// Returns the value of a threshold; `None` predicts the class with the highest score.
///
/// # Errors
/// The calibration has no such threshold.
pub(crate) fn threshold_value(calibrated: &Calibrated, threshold: Threshold) -> Result<Option<f64>> {
    let missing = |what: &str| Error::config("decision.threshold", what.to_owned());
    let thresholds = || {
        let thresholds =
            calibrated.calibration.as_ref().and_then(|calibration| calibration.thresholds.as_ref());
        thresholds.ok_or_else(|| {
            missing("no such threshold: it requires validation data with samples of both classes")
        })
    };
    Ok(match threshold {
        Threshold::Rule(ThresholdRule::Highest) => None,
        Threshold::Fixed(value) => Some(value),
        Threshold::Rule(ThresholdRule::F1) => Some(thresholds()?.f1.threshold),
        Threshold::Rule(ThresholdRule::Precision) => {
            let thresholds = thresholds()?;
            let point = thresholds.precision.ok_or_else(|| {
                let precision = thresholds.target_precision;
                missing(&format!("no threshold has a precision of {precision} on the validation data"))
            });
            Some(point?.threshold)
        }
    })
}

/// Writes the calibration into a run directory.
pub(crate) fn save(run: &Path, calibrated: &Calibrated) -> Result<()> {
    write_json(&run.join(CALIBRATION), calibrated)
}

/// Reads the calibration of a run; an interrupted run has none, and its scores are not calibrated.
pub(crate) fn load(run: &Path) -> Result<Calibrated> {
    Ok(read_json(run, CALIBRATION)?.unwrap_or_default())
}
