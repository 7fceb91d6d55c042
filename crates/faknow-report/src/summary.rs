//! JSON files that a run writes at its end: summary, calibration, most confident errors.

use std::path::Path;

use faknow_metrics::{Calibration, Decision};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::checksums::{read_verified, remedy};
use crate::{Error, Result};

/// File name of [`RunSummary`] in a run directory.
pub const SUMMARY: &str = "summary.json";
/// File name of [`Calibrated`] in a run directory.
pub const CALIBRATION: &str = "calibration.json";
/// File name of the most confident errors, a list of [`Mistake`], in a run directory.
pub const MISTAKES: &str = "mistakes.json";

/// Model, data, environment and outcome of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// Name of the model.
    pub model: String,
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// Random seed.
    pub seed: u64,
    /// Reason why training ended, as text.
    pub ended: String,
    /// Number of completed epochs.
    pub n_epochs: usize,
    /// Epoch with the best validation; `None` without validation.
    pub best: Option<BestEpoch>,
    /// Seconds of all epochs, training and validation, including those before an interruption.
    pub seconds: f64,
    /// Number of parameters.
    pub n_weights: u64,
    /// Number of trainable parameters.
    pub n_trainable: u64,
    /// Table of the parameters, as text.
    pub parameters: String,
    /// Name and value of each property of machine and software.
    pub environment: Vec<(String, String)>,
    /// Description of the data, one line per part.
    pub data: Vec<String>,
    /// Name and seconds of each phase of the training.
    pub profile: Vec<(String, f64)>,
}

/// Decision rule of a run, with the calibration it is based on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// Temperature and threshold that turn scores into a predicted class.
    pub decision: Decision,
    /// Calibration on the validation samples; `None` without validation.
    #[serde(flatten)]
    pub calibration: Option<Calibration>,
}

/// The epoch with the best validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Name of the monitored metric.
    pub monitor: String,
    /// Value of the monitored metric.
    pub value: f64,
}

/// A misclassified test sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Index among the test samples, from 0.
    pub row: usize,
    /// Id of the sample, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// True class.
    pub label: String,
    /// Predicted class.
    pub predicted: String,
    /// Score of the predicted class, from 0 to 1.
    pub score: f64,
    /// Kind of the parts: `word` or `node`.
    pub unit: String,
    /// Number of words or nodes of the sample.
    pub n_parts: usize,
    /// Number of tokens of the sample that the model knows; `None` in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_tokens: Option<usize>,
    /// All words in order, or the nodes with the largest contributions, largest first.
    pub parts: Vec<MistakePart>,
}

/// A word of a text or a node of a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MistakePart {
    /// The word, or the index of the node, from 0.
    pub name: String,
    /// Contribution to the prediction; positive values support it.
    pub contribution: f64,
}

/// Reads a JSON file of a run and compares it with its checksum; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(run: &Path, name: &str) -> Result<Option<T>> {
    let Some(text) = read_verified(run, name)? else { return Ok(None) };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| Error::corrupted(&run.join(name), format!("{error}; {}", remedy(run, name))))
}
