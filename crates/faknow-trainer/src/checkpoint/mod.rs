//! Checkpoints: the complete state of a run in a directory, whole or not there at all.
//!
//! # A checkpoint
//!
//! `RUN_DIR/checkpoints/<name>/` holds
//!
//! | file | content |
//! |---|---|
//! | `manifest.json` | format, version, the program that wrote it, [`CheckpointInfo`]; size and checksum of every other file, and of itself |
//! | `state.json` | everything that is not a tensor |
//! | `<group>.safetensors` | the tensors of one group; `model.safetensors` are the weights, under PyTorch's names |
//!
//! The same content gives the same bytes. Checksums are XXH3 (128 bits): they notice every accident, and are no
//! protection against somebody who means harm.
//!
//! # Written so that nothing is lost
//!
//! A checkpoint is written to the hidden directory `.tmp-<name>`, each file and then the directory flushed to the disk,
//! the manifest last. Only a complete `.tmp-<name>` is published, by renaming directories:
//!
//! | step | [`save`](CheckpointStore::save) | [`save_keeping_previous`](CheckpointStore::save_keeping_previous) |
//! |---|---|---|
//! | 1 | | `previous` becomes `.old-previous` |
//! | 2 | `name` becomes `.old-name` | `name` becomes `previous` |
//! | 3 | `.tmp-name` becomes `name` | `.tmp-name` becomes `name` |
//! | 4 | the directory is flushed, `.old-name` is removed | the directory is flushed, `.old-previous` is removed |
//!
//! A step is left out where there is nothing to rename. A process that is killed, or a machine that loses power, at
//! any point leaves one of these, and all of them read:
//!
//! - before step 1: the former checkpoints, and next to them a `.tmp-name` that is incomplete or unneeded;
//! - after step 1: the same, but what was `previous` is `.old-previous`;
//! - after step 2: no `name`, but a complete `.tmp-name`;
//! - after step 3: the new checkpoint, and an `.old-…` that is no longer needed.
//!
//! So reading `name` where there is none takes `.tmp-name` if that is complete to the last byte, else `.old-name`;
//! only without those it is [`CheckpointError::Missing`], which names the newest good one of another name.
//! [`clean`](CheckpointStore::clean), and every method that writes, first makes the same choice for good: it
//! completes what only needed a rename, brings `.old-…` back where nothing has replaced it, and removes the rest.
//! [`remove`](CheckpointStore::remove) renames to `.gone-name` first, which is never read again.
//!
//! One process at a time may write; any number may read meanwhile.

pub(crate) mod background;
pub(crate) mod checkpointer;
#[cfg(test)]
mod crash;
mod disk;
mod error;
mod manifest;
pub(crate) mod names;
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
pub use read::CheckpointEntry;
pub use store::CheckpointStore;

/// All that a checkpoint holds: what identifies it, and the state of each part of the run.
#[derive(Debug, Default)]
pub struct Checkpoint {
    /// What lists and messages show of it.
    pub info: CheckpointInfo,
    /// Everything that is not a tensor. Objects and arrays may be nested 100 deep.
    pub state: serde_json::Value,
    /// Tensors by group and name. Group `model` becomes the file `model.safetensors`; a group's name is made of
    /// `a`-`z`, `0`-`9`, `-`, `_` and, not in front, `.`.
    pub tensors: BTreeMap<String, BTreeMap<String, Tensor>>,
}

impl Checkpoint {
    /// Adds the state of a part of the run. A part without values is known by its tensors alone, and a part without
    /// either is not stored.
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

    /// Replaces the tensors by copies on the CPU, which training does not change. Those that cannot be saved stay, for the
    /// store to refuse by name.
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

    /// Returns the state of a part; `None` if the part stored nothing.
    pub fn part(&self, name: &str) -> Option<State> {
        let values = self.state.get(name).cloned().unwrap_or_default();
        let tensors = self.tensors.get(name).into_iter().flatten();
        let part =
            State { values, tensors: tensors.map(|(name, t)| (name.clone(), t.shallow_clone())).collect() };
        Some(part).filter(|part| !part.is_empty())
    }
}

/// What is known of a checkpoint without reading it: small, shown in lists and messages.
///
/// Within a branch the number of steps only grows, so branch and step together identify the weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// The branch of the run, from 0: resuming from an earlier checkpoint than the newest opens the next branch.
    pub branch: u32,
    /// The epoch that it was written in, from 1; 0 before the first.
    pub epoch: usize,
    /// Batches of that epoch that were done; 0 at its start.
    pub batch: usize,
    /// Optimizer steps since the run began.
    pub step: u64,
    /// Training samples seen since the run began.
    pub samples: u64,
    /// Name of the monitored metric, if there is one.
    pub monitor: Option<String>,
    /// The monitored metric's value, if there is one yet.
    #[serde(with = "float")]
    pub value: Option<f64>,
    /// Why the run ended, if it did.
    #[serde(rename = "ended")]
    pub stop_reason: Option<String>,
}

/// JSON has no NaN and no infinity: they are written as texts.
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
