//! Options of resuming a run, and the comparison of its settings, data and model with those of its start.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use faknow_data::Loader;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::nn::VarStore;

use super::CheckpointStore;
use super::names::{FAILED, LAST};

/// Settings that may always change when a run is resumed: its length, and its checkpoints.
const ALWAYS_IGNORED: [&str; 4] = ["trainer.epochs", "trainer.max_steps", "trainer.max_time", "checkpoint."];

/// Options of resuming a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    /// Name of the checkpoint to resume from. Default `last`. If it is not the newest, the run continues on a new branch:
    /// the checkpoints of later steps are retained.
    pub from: String,
    /// The kinds of changes since the start of the run that are allowed. Default: none.
    pub allow: Vec<ChangeKind>,
    /// Names of settings that may change, or prefixes that end with a dot, in addition to the length of the run and its
    /// checkpoints, which may always change. Default: none.
    pub ignored_settings: Vec<String>,
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
        Self { from: LAST.to_owned(), allow: Vec::new(), ignored_settings: Vec::new() }
    }
}

/// Returns whether there is a checkpoint to resume from; the one of an update that failed halfway does not count.
pub(crate) fn has_checkpoint(store: &CheckpointStore) -> bool {
    store.list().iter().any(|entry| entry.name != FAILED)
}

/// A kind of change since the start of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The samples, their order, or how they become batches.
    Data,
    /// The model's hyperparameters; its weights must still fit.
    Model,
    /// Any other setting.
    Config,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Model => "model",
            Self::Config => "config",
        })
    }
}

impl FromStr for ChangeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "data" => Ok(Self::Data),
            "model" => Ok(Self::Model),
            "config" => Ok(Self::Config),
            other => Err(format!("expected data, model or config, got `{other}`")),
        }
    }
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

/// A setting whose value has changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangedSetting {
    pub(crate) name: String,
    pub(crate) kind: ChangeKind,
    /// A description of both values.
    pub(crate) difference: String,
}

/// Returns the changed settings: first those that need permission, then the ignored ones.
pub(crate) fn changed_settings(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    ignored: &[String],
) -> (Vec<ChangedSetting>, Vec<ChangedSetting>) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let show = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
    let changed = changed.map(|name| ChangedSetting {
        name: name.clone(),
        kind: match name.split('.').next() {
            Some("model") => ChangeKind::Model,
            Some("data" | "text" | "loader") => ChangeKind::Data,
            _ => ChangeKind::Config,
        },
        difference: format!("`{name}` was {}, now {}", show(old.get(name)), show(new.get(name))),
    });
    let is_ignored = |change: &ChangedSetting| {
        let mut patterns = ALWAYS_IGNORED.into_iter().chain(ignored.iter().map(String::as_str));
        patterns.any(|it| change.name == it || (it.ends_with('.') && change.name.starts_with(it)))
    };
    changed.partition(|change| !is_ignored(change))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_compared_by_name_and_kind() {
        let settings = |value: Value| value.as_object().cloned().unwrap_or_default();
        let old =
            settings(json!({"seed": 1, "trainer.epochs": 3, "model.dropout": 0.1, "loader.threads": 1}));
        let new =
            settings(json!({"seed": 2, "trainer.epochs": 5, "loader.threads": 2, "checkpoint.keep": 3}));
        let (rejected, ignored) = changed_settings(&old, &new, &["loader.threads".to_owned()]);
        let rejected: Vec<_> = rejected.into_iter().map(|change| (change.kind, change.difference)).collect();
        let expected = [
            (ChangeKind::Model, "`model.dropout` was 0.1, now not set".to_owned()),
            (ChangeKind::Config, "`seed` was 1, now 2".to_owned()),
        ];
        assert_eq!(rejected, expected);
        let names: Vec<_> = ignored.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["checkpoint.keep", "loader.threads", "trainer.epochs"]);
    }
}
