//! How the scores of a detector become predictions: what is chosen on the validation data after training.

use std::path::Path;

use faknow_metrics::{Calibration, Decision, Predictions};
use faknow_report::{CALIBRATION, Calibrated};
use serde::{Deserialize, Serialize};

use crate::files::{read_json, write_json};
use crate::{Error, Result};

/// How the scores of a detector become predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionConfig {
    /// Whether logits are divided by a temperature, chosen on the validation data, so that scores are as sure as they are right.
    /// It changes no prediction by the highest score. Default true.
    pub temperature: bool,
    /// From which score of the second class a sample is predicted to be of it: `highest` (the class with the highest score), `f1` (the
    /// highest F1 on the validation data), `precision` (the highest recall there at the precision below), or a number from 0 to 1.
    /// All but `highest` need two classes. Default `highest`.
    pub threshold: Threshold,
    /// The precision that `precision` keeps, from 0 to 1. Default 0.9.
    pub precision: f64,
}

impl Default for DecisionConfig {
    fn default() -> Self {
        Self { temperature: true, threshold: Threshold::default(), precision: 0.9 }
    }
}

/// From which score of the second of two classes a sample is predicted to be of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Threshold {
    /// A threshold that validation chose, or none.
    Rule(ThresholdRule),
    /// This one.
    Fixed(f64),
}

/// Which threshold is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdRule {
    /// None: the class with the highest score.
    Highest,
    /// The one with the highest F1.
    F1,
    /// The one with the highest recall at a precision.
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
            number => Self::Fixed(number.parse().map_err(|_| wrong(number))?),
        };
        threshold.check()?;
        Ok(threshold)
    }
}

impl Threshold {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Fixed(value) if !(0.0..=1.0).contains(&value) => Err(wrong(&value.to_string())),
            _ => Ok(()),
        }
    }
}

fn wrong(got: &str) -> Error {
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
                "expected highest, since a threshold needs two classes, of which there are {n_classes}"
            );
            return Err(Error::config("decision.threshold", message));
        }
        Ok(())
    }
}

/// Chooses by what the model says of the validation data. A threshold that cannot be had is said to be so, and the class with the
/// highest score is taken.
pub(crate) fn choose(config: &DecisionConfig, valid: Option<&Predictions>) -> Result<Calibrated> {
    let calibration =
        valid.map(|valid| Calibration::fit(valid, config.precision, config.temperature)).transpose()?;
    let mut calibrated = Calibrated { decision: Decision::default(), calibration };
    calibrated.decision.temperature =
        calibrated.calibration.as_ref().map_or(1.0, |calibration| calibration.temperature);
    match threshold(&calibrated, config.threshold) {
        Ok(threshold) => calibrated.decision.threshold = threshold,
        Err(error) => tracing::warn!("{error}; the class with the highest score is taken"),
    }
    Ok(calibrated)
}

/// The threshold that `wanted` names.
pub(crate) fn threshold(calibrated: &Calibrated, wanted: Threshold) -> Result<Option<f64>> {
    let missing = |what: &str| Error::config("decision.threshold", what.to_owned());
    let chosen = || {
        let thresholds =
            calibrated.calibration.as_ref().and_then(|calibration| calibration.thresholds.as_ref());
        thresholds
            .ok_or_else(|| missing("none was chosen: that needs validation data with both of two classes"))
    };
    Ok(match wanted {
        Threshold::Rule(ThresholdRule::Highest) => None,
        Threshold::Fixed(value) => Some(value),
        Threshold::Rule(ThresholdRule::F1) => Some(chosen()?.f1.threshold),
        Threshold::Rule(ThresholdRule::Precision) => {
            let thresholds = chosen()?;
            let point = thresholds.precision.ok_or_else(|| {
                let wanted = thresholds.target_precision;
                missing(&format!("no threshold had a precision of {wanted} on the validation data"))
            });
            Some(point?.threshold)
        }
    })
}

pub(crate) fn save(run: &Path, calibrated: &Calibrated) -> Result<()> {
    write_json(&run.join(CALIBRATION), calibrated)
}

/// Reads what [`save`] wrote; a run without it takes scores as they are.
pub(crate) fn load(run: &Path) -> Result<Calibrated> {
    let path = run.join(CALIBRATION);
    if path.exists() { read_json(&path) } else { Ok(Calibrated::default()) }
}
