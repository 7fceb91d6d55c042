//! How a run is resumed: from which checkpoint, what has to be the same, and what may have changed.

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

/// Settings that may change between the parts of a run: how long it takes, and which checkpoints it writes.
const FREE: [&str; 4] = ["trainer.epochs", "trainer.max_steps", "trainer.max_time", "checkpoint."];

/// How a run is resumed.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    /// Name of the checkpoint to resume from. Default `last`. From an earlier one than the newest, the run continues on
    /// another branch: the checkpoints of later steps stay as they are.
    pub from: String,
    /// What may differ from the start of the run. Default: nothing.
    pub allow: Vec<ChangeKind>,
    /// Settings that have no influence on what was computed so far, by name, or by a prefix that ends in a dot.
    /// Default: only the length of the run and its checkpoints.
    pub ignored_settings: Vec<String>,
}

impl Resume {
    /// Returns whether the run in the directory `run` has a checkpoint to resume from; otherwise resuming starts it.
    pub fn has_checkpoint(run: &Path) -> bool {
        has_checkpoint(&CheckpointStore::new(run))
    }
}

impl Default for Resume {
    fn default() -> Self {
        Self { from: LAST.to_owned(), allow: Vec::new(), ignored_settings: Vec::new() }
    }
}

/// Whether there is a checkpoint that a run can be resumed from: not that of an update that failed half-way.
pub(crate) fn has_checkpoint(store: &CheckpointStore) -> bool {
    store.list().iter().any(|entry| entry.name != FAILED)
}

/// What may have changed since a run started.
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

/// Identifies the data and the model of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fingerprints {
    train: Option<u64>,
    valid: Option<u64>,
    n_batches: usize,
    n_valid_batches: usize,
    /// Name, kind and shape of every variable.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Fingerprints {
    pub(crate) fn of<B>(train: &dyn Loader<B>, valid: Option<&dyn Loader<B>>, vars: &VarStore) -> Self {
        let variables = vars.variables().into_iter();
        Self {
            train: train.fingerprint(),
            valid: valid.and_then(Loader::fingerprint),
            n_batches: train.n_batches(),
            n_valid_batches: valid.map_or(0, Loader::n_batches),
            variables: variables.map(|(name, t)| (name, format!("{:?} {:?}", t.kind(), t.size()))).collect(),
        }
    }

    /// Returns what identifies the data, in words.
    pub(crate) fn data(&self) -> [(&'static str, String); 2] {
        let show = |fingerprint: Option<u64>, n| match fingerprint {
            Some(fingerprint) => format!("{n} batches, fingerprint {fingerprint:016x}"),
            None => format!("{n} batches"),
        };
        [
            ("training data", show(self.train, self.n_batches)),
            ("validation data", show(self.valid, self.n_valid_batches)),
        ]
    }
}

/// Returns the first variable that differs, in words.
pub(crate) fn first_difference(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Option<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().find_map(|name| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("`{name}` was {old}, now {new}")),
        (Some(old), None) => Some(format!("`{name}` {old} is gone")),
        (None, new) => Some(format!("`{name}` {} is new", new.map_or("", |new| new.as_str()))),
    })
}

/// A setting that is another one than before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangedSetting {
    pub(crate) name: String,
    pub(crate) kind: ChangeKind,
    /// Both values, in words.
    pub(crate) difference: String,
}

/// Returns the settings that differ: those that must not, and those that may.
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
        let mut free = FREE.into_iter().chain(ignored.iter().map(String::as_str));
        free.any(|free| change.name == free || (free.ends_with('.') && change.name.starts_with(free)))
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
        let (refused, ignored) = changed_settings(&old, &new, &["loader.threads".to_owned()]);
        let refused: Vec<_> = refused.into_iter().map(|change| (change.kind, change.difference)).collect();
        let expected = [
            (ChangeKind::Model, "`model.dropout` was 0.1, now not set".to_owned()),
            (ChangeKind::Config, "`seed` was 1, now 2".to_owned()),
        ];
        assert_eq!(refused, expected);
        let names: Vec<_> = ignored.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["checkpoint.keep", "loader.threads", "trainer.epochs"]);
    }
}
