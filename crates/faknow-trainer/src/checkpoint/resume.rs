//! Options of resuming a run, and the comparison of its data and model with those of its start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faknow_data::Loader;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

use super::CheckpointStore;
use super::changes::{ChangeKind, ResumePolicies};
use super::names::{FAILED, LAST};

/// Options of resuming a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    /// Name of the checkpoint to resume from. Default `last`. If it is not the newest, the run continues on a new branch:
    /// the checkpoints of later steps are retained.
    pub from: String,
    /// The kinds of changes since the start of the run that are allowed. Default: none.
    pub allow: Vec<ChangeKind>,
    /// What happens to each changed setting of [`hyperparameters`](crate::TrainerBuilder::hyperparameters), by name; takes
    /// precedence over the policies of the trainer's own options. Default: none.
    pub policies: ResumePolicies,
}

impl Resume {
    /// Returns whether the run directory `run` contains a checkpoint to resume from; without one, resuming starts the run
    /// from scratch.
    pub fn has_checkpoint(run: &Path) -> bool {
        has_checkpoint(&CheckpointStore::new(run))
    }
}

impl Default for Resume {
    fn default() -> Self {
        Self { from: LAST.to_owned(), allow: Vec::new(), policies: Vec::new() }
    }
}

/// Returns whether there is a checkpoint to resume from; the one of an update that failed halfway does not count.
pub(crate) fn has_checkpoint(store: &CheckpointStore) -> bool {
    store.list().iter().any(|entry| entry.name != FAILED)
}

/// Fingerprints of the data and the model of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fingerprints {
    train: Option<u64>,
    valid: Option<u64>,
    n_batches: usize,
    n_valid_samples: usize,
    /// Kind and shape of every variable, by name.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Fingerprints {
    pub(crate) fn new<B>(train: &dyn Loader<B>, valid: Option<&dyn Loader<B>>, vars: &VarStore) -> Self {
        let variables = vars.variables().into_iter();
        Self {
            train: train.fingerprint(),
            // Results of validation do not depend on the batches.
            valid: valid.and_then(Loader::samples_fingerprint),
            n_batches: train.n_batches(),
            n_valid_samples: valid.map_or(0, Loader::n_samples),
            variables: variables.map(|(name, t)| (name, format!("{:?} {:?}", t.kind(), t.size()))).collect(),
        }
    }

    /// Returns a description of the training data and of the validation data.
    pub(crate) fn data(&self) -> [(&'static str, String); 2] {
        let show = |fingerprint: Option<u64>, count: String| match fingerprint {
            Some(fingerprint) => format!("{count}, fingerprint {fingerprint:016x}"),
            None => count,
        };
        [
            ("training data", show(self.train, format!("{} batches", self.n_batches))),
            ("validation data", show(self.valid, format!("{} samples", self.n_valid_samples))),
        ]
    }
}

/// Returns a description of the first variable that differs.
pub(crate) fn first_difference(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Option<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().find_map(|name| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("`{name}` was {old}, now {new}")),
        (Some(old), None) => Some(format!("`{name}` {old} is missing")),
        (None, new) => Some(format!("`{name}` {} is new", new.map_or("", |new| new.as_str()))),
    })
}
