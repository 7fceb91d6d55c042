//! Checkpoints: the complete state of a run in a directory, written atomically.
//!
//! # Layout
//!
//! `RUN_DIR/checkpoints/<name>/` contains
//!
//! | file | content |
//! |---|---|
//! | `manifest.json` | format, version, the program that wrote it, [`CheckpointInfo`]; size and checksum of every other file, and its own checksum |
//! | `state.json` | everything that is not a tensor |
//! | `<group>.safetensors` | the tensors of one group; `model.safetensors` are the weights, under PyTorch's names |
//!
//! The same content produces the same bytes. Checksums are XXH3 (128 bits): they detect accidental corruption, but do
//! not protect against deliberate tampering.
//!
//! # Crash safety
//!
//! A checkpoint is written to the hidden directory `.tmp-<name>`; each file and then the directory is flushed to the disk,
//! the manifest last. Only a complete `.tmp-<name>` is published, by renaming directories:
//!
//! | step | [`save`](CheckpointStore::save) | [`save_keeping_previous`](CheckpointStore::save_keeping_previous) |
//! |---|---|---|
//! | 1 | | `previous` becomes `.old-previous` |
//! | 2 | `name` becomes `.old-name` | `name` becomes `previous` |
//! | 3 | `.tmp-name` becomes `name` | `.tmp-name` becomes `name` |
//! | 4 | the directory is flushed, `.old-name` is removed | the directory is flushed, `.old-previous` is removed |
//!
//! A step is skipped if there is nothing to rename. If the process is killed or the machine loses power, one of these
//! states remains, and all of them are readable:
//!
//! - before step 1: the old checkpoints, and a `.tmp-name` that is incomplete or not needed;
//! - after step 1: the same, but the former `previous` is `.old-previous`;
//! - after step 2: no `name`, but a complete `.tmp-name`;
//! - after step 3: the new checkpoint, and an `.old-…` that is no longer needed.
//!
//! So if `name` does not exist, reading it falls back to `.tmp-name` if every byte of that is valid, else to `.old-name`,
//! else fails with [`CheckpointError::Missing`], which names the newest valid checkpoint of another name.
//! [`clean`](CheckpointStore::clean), and every method that writes, first makes the same choice permanent: it completes
//! pending renames, restores `.old-…` if nothing has replaced it, and removes the rest.
//! [`remove`](CheckpointStore::remove) renames to `.gone-name` first, which is never read again.
//!
//! Only one process may write at a time; any number of processes may read concurrently.

pub(crate) mod background;
pub(crate) mod changes;
pub(crate) mod checkpointer;
#[cfg(test)]
mod crash;
mod disk;
mod error;
mod manifest;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod part;
pub(crate) mod policy;
pub(crate) mod ranking;
mod read;
pub(crate) mod resume;
pub(crate) mod save;
mod store;

use std::collections::BTreeMap;

use faknow_callbacks::State;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use tch::{Device, Tensor, no_grad};

pub use error::{CheckpointError, FallbackCheckpoint};
pub use part::Checkpointable;
pub use read::{CheckpointEntry, read_weights_file};
pub use store::CheckpointStore;

/// The content of a checkpoint: its [`CheckpointInfo`] and the state of each part of the run.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// The summary that lists and messages show.
    pub info: CheckpointInfo,
    /// All values that are not tensors. Objects and arrays may be nested up to 100 levels deep.
    pub state: serde_json::Value,
    /// Tensors by group and name. Group `model` becomes the file `model.safetensors`; a group name consists of
    /// `a`-`z`, `0`-`9`, `-`, `_` and `.`, and does not start with `.`.
    pub tensors: BTreeMap<String, BTreeMap<String, Tensor>>,
}

impl Checkpoint {
    /// Adds the state of a part of the run. A part may have only tensors; a part with neither values nor tensors is not
    /// stored.
    pub fn insert_part(&mut self, name: &str, part: State) {
        if !part.values.is_null() {
            if self.state.is_null() {
                self.state = Map::new().into();
            }
            if let Some(values) = self.state.as_object_mut() {
                values.insert(name.to_owned(), part.values);
            }
        }
        if !part.tensors.is_empty() {
            self.tensors.insert(name.to_owned(), part.tensors);
        }
    }

    /// Replaces the tensors with copies on the CPU, which training does not change. Tensors that cannot be saved are left
    /// as they are: the store rejects them by name.
    pub(crate) fn into_copy(mut self) -> crate::Result<Self> {
        for tensor in self.tensors.values_mut().flat_map(BTreeMap::values_mut) {
            if tensor.defined() && !tensor.is_sparse() {
                let mut copy = Tensor::f_empty(tensor.size(), (tensor.f_kind()?, Device::Cpu))?;
                no_grad(|| copy.f_copy_(tensor))?;
                *tensor = copy;
            }
        }
        Ok(self)
    }

    /// Returns the state of a part, or `None` if the checkpoint has no state for it.
    pub fn part(&self, name: &str) -> Option<State> {
        let values = self.state.get(name).cloned().unwrap_or_default();
        let tensors = self.tensors.get(name).into_iter().flatten();
        let part =
            State { values, tensors: tensors.map(|(name, t)| (name.clone(), t.shallow_clone())).collect() };
        Some(part).filter(|part| !part.is_empty())
    }
}

/// The summary of a checkpoint, which is stored in its manifest.
///
/// Within a branch the step number only increases, so branch and step together identify the weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// The branch of the run, from 0: resuming from a checkpoint that is not the newest creates the next branch.
    pub branch: u32,
    /// The epoch in which it was written, from 1; 0 before the first.
    pub epoch: usize,
    /// Number of completed batches of that epoch; 0 at its start.
    pub batch: usize,
    /// Number of optimizer steps since the start of the run.
    pub step: u64,
    /// Number of training samples since the start of the run.
    pub samples: u64,
    /// Name of the monitored metric, if any.
    pub monitor: Option<String>,
    /// Value of the monitored metric, once there is one.
    #[serde(with = "float")]
    pub value: Option<f64>,
    /// Reason why the run ended; `None` if it has not ended.
    #[serde(rename = "ended")]
    pub stop_reason: Option<String>,
}

/// Serialization of floats: JSON has neither NaN nor infinity, so they are written as strings.
mod float {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Float {
        Finite(f64),
        Other(String),
    }

    pub(super) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value
            .map(|v| if v.is_finite() { Float::Finite(v) } else { Float::Other(v.to_string()) })
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Option::<Float>::deserialize(deserializer)?
            .map(|value| match value {
                Float::Finite(v) => Ok(v),
                Float::Other(text) => text.parse().map_err(serde::de::Error::custom),
            })
            .transpose()
    }
}
