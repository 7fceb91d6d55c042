//! What happens to settings that are changed when a run is resumed: the policies, and the comparison of two lists of settings.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::{Error, Result};

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

/// What happens if a setting is changed when a run is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResumePolicy {
    /// The new value takes effect immediately; state that belongs to the old value restarts, or is computed from the history.
    Free,
    /// As [`Free`](Self::Free), but only if this kind of change is allowed.
    Allow(ChangeKind),
    /// The run keeps the value with which it was started. The text says what to do instead.
    Refused(&'static str),
}

/// Writes the policy as the reference of settings has it: `free`, `--allow data`, `refused`.
impl fmt::Display for ResumePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Allow(kind) => write!(f, "--allow {kind}"),
            Self::Refused(_) => f.write_str("refused"),
        }
    }
}

/// The policies of settings by name. A policy also applies to the names below it (`data` to `data.train`), unless these have
/// their own.
pub type ResumePolicies = Vec<(String, ResumePolicy)>;

/// Policies of settings that are in no list: those of a custom program, named as in a config.
const BY_TABLE: [(&str, ResumePolicy); 4] = [
    ("model", ResumePolicy::Allow(ChangeKind::Model)),
    ("data", ResumePolicy::Allow(ChangeKind::Data)),
    ("text", ResumePolicy::Allow(ChangeKind::Data)),
    ("loader", ResumePolicy::Allow(ChangeKind::Data)),
];

/// Returns the policy of a setting: that of the longest matching name in the first list that has one.
fn policy_of<'a>(
    name: &str,
    lists: impl IntoIterator<Item = &'a [(String, ResumePolicy)]>,
) -> Option<ResumePolicy> {
    lists.into_iter().find_map(|list| {
        let matching = list.iter().filter(|(pattern, _)| is_within(name, pattern));
        matching.max_by_key(|(pattern, _)| pattern.len()).map(|(_, policy)| *policy)
    })
}

/// A setting whose value has changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangedSetting {
    pub(crate) name: String,
    pub(crate) policy: ResumePolicy,
    /// The old and the new value; `None` if it is not set.
    pub(crate) values: [Option<Value>; 2],
}

impl ChangedSetting {
    /// Returns an error unless the change is free or allowed.
    pub(crate) fn check(&self, allowed: &[ChangeKind]) -> Result<()> {
        match self.policy {
            ResumePolicy::Allow(what) if !allowed.contains(&what) => {
                Err(Error::Changed { what, difference: self.to_string() })
            }
            ResumePolicy::Refused(remedy) => Err(Error::Fixed { difference: self.to_string(), remedy }),
            ResumePolicy::Allow(_) | ResumePolicy::Free => Ok(()),
        }
    }
}

/// Writes both values: `` `seed` was 1, now 2 ``.
impl fmt::Display for ChangedSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [old, new] =
            self.values.each_ref().map(|value| value.as_ref().map_or("not set".to_owned(), Value::to_string));
        write!(f, "`{}` was {old}, now {new}", self.name)
    }
}

/// The settings that a resumed run has changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes(pub(crate) Vec<ChangedSetting>);

impl Changes {
    /// Returns whether they include a setting, or one of the table of this name.
    pub(crate) fn include(&self, name: &str) -> bool {
        self.0.iter().any(|change| is_within(&change.name, name))
    }

    /// Returns whether they include a setting that determines the learning rates.
    pub(crate) fn affect_schedule(&self) -> bool {
        // A plateau depends on the monitored value.
        ["optimizer", "schedule", "trainer.monitor", "trainer.metrics"].iter().any(|name| self.include(name))
    }
}

fn is_within(name: &str, table: &str) -> bool {
    name.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Returns the settings that differ, each with its policy: of `policies`, else of the trainer's own settings.
pub(crate) fn changed_settings(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    policies: &[(String, ResumePolicy)],
) -> Vec<ChangedSetting> {
    let owned = |list: &[(&str, ResumePolicy)]| -> ResumePolicies {
        list.iter().map(|(name, policy)| ((*name).to_owned(), *policy)).collect()
    };
    let own = crate::checkpoint::options::policies();
    let by_table = owned(&BY_TABLE);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changed: Vec<&String> =
        names.into_iter().filter(|name| old.get(*name) != new.get(*name)).collect();
    // The other settings of a table follow its `name`.
    changed.sort_by_key(|name| !name.ends_with(".name"));
    let changed = changed.into_iter().map(|name| ChangedSetting {
        name: name.clone(),
        policy: policy_of(name, [policies, &own, &by_table])
            .unwrap_or(ResumePolicy::Allow(ChangeKind::Config)),
        values: [old.get(name).cloned(), new.get(name).cloned()],
    });
    changed.collect()
}

/// Checks the settings of a resumed run against those with which it was started or last resumed.
///
/// A setting without a policy in `policies` has that of the trainer's option of this name. For programs that check settings
/// before they read data; [`Trainer::resume_from`](crate::Trainer::resume_from) makes the same check.
///
/// # Errors
/// [`Error::Changed`] or [`Error::Fixed`], with the first setting that must not change.
pub fn check_settings(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    policies: &[(String, ResumePolicy)],
    allow: &[ChangeKind],
) -> Result<()> {
    changed_settings(old, new, policies).iter().try_for_each(|change| change.check(allow))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn longest_matching_name_has_the_policy() {
        let settings = |value: Value| value.as_object().cloned().unwrap_or_default();
        let old = settings(json!({"seed": 1, "trainer.epochs": 3, "model.dropout": 0.1, "loader.workers": 1,
            "data.values.fake": ["a"]}));
        let new = settings(json!({"seed": 2, "trainer.epochs": 5, "loader.workers": 2, "checkpoint.keep": 3,
            "own": 1, "data.values.fake": ["b"]}));
        let fixed = ResumePolicy::Refused("start a new run");
        let policies =
            [("loader.workers", ResumePolicy::Free), ("data.values", fixed), ("data", ResumePolicy::Free)];
        let policies = policies.map(|(name, policy)| (name.to_owned(), policy));
        let changes = changed_settings(&old, &new, &policies);
        let shown: Vec<String> = changes.iter().map(|it| format!("{it}: {}", it.policy)).collect();
        assert_eq!(
            shown,
            [
                "`checkpoint.keep` was not set, now 3: free",
                "`data.values.fake` was [\"a\"], now [\"b\"]: refused",
                "`loader.workers` was 1, now 2: free",
                "`model.dropout` was 0.1, now not set: --allow model",
                "`own` was not set, now 1: --allow config",
                "`seed` was 1, now 2: --allow config",
                "`trainer.epochs` was 3, now 5: free",
            ]
        );
        let all = [ChangeKind::Data, ChangeKind::Model, ChangeKind::Config];
        let error = check_settings(&old, &new, &policies, &all).unwrap_err().to_string();
        assert!(error.contains("`data.values.fake` was") && error.ends_with("start a new run"), "{error}");
    }
}
