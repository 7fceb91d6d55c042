//! What a run tells of itself at its end, as files of its directory.

use std::path::Path;

use faknow_metrics::{Calibration, Decision};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// File of [`RunSummary`] in a run directory.
pub const SUMMARY: &str = "summary.json";
/// File of [`Calibrated`].
pub const CALIBRATION: &str = "calibration.json";
/// File of the surest mistakes, a list of [`Mistake`].
pub const MISTAKES: &str = "mistakes.json";

/// What a run is and how it went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// Name of the model.
    pub model: String,
    /// The classes, in their order.
    pub classes: Vec<String>,
    /// Seed of everything random.
    pub seed: u64,
    /// Why training ended, in words.
    pub ended: String,
    /// Epochs that were finished.
    pub n_epochs: usize,
    /// The epoch whose weights were kept; `None` without validation.
    pub best: Option<BestEpoch>,
    /// Wall-clock seconds of the training.
    pub seconds: f64,
    /// Values of all parameters.
    pub n_weights: u64,
    /// Those that training changes.
    pub n_trainable: u64,
    /// The parameters as a table.
    pub parameters: String,
    /// Machine and versions, by name.
    pub environment: Vec<(String, String)>,
    /// What was read, a line each.
    pub data: Vec<String>,
    /// Seconds by phase of the training.
    pub profile: Vec<(String, f64)>,
}

/// What a run chose after its training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// How scores become judgments.
    pub decision: Decision,
    /// What validation said; `None` if there was none.
    #[serde(flatten)]
    pub calibration: Option<Calibration>,
}

/// The epoch whose weights were kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestEpoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// What it was judged by.
    pub monitor: String,
    /// The value of that.
    pub value: f64,
}

/// A test sample that was judged wrongly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its position among the test samples, from 0.
    pub row: usize,
    /// Its own name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its class.
    pub label: String,
    /// What it was judged to be.
    pub predicted: String,
    /// The score of that, from 0 to 1.
    pub score: f64,
    /// What its parts are: `word` or `node`.
    pub unit: String,
    /// Parts that it has.
    pub n_parts: usize,
    /// Words in their order, or the nodes that did most, strongest first.
    pub parts: Vec<MistakePart>,
}

/// A word of a text or a node of a tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MistakePart {
    /// The word, or the node's number from 0.
    pub name: String,
    /// What it did for the judgment: above 0 it speaks for it.
    pub contribution: f64,
}

/// The JSON of a file; `None` if there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| Error::corrupted(path, error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}
