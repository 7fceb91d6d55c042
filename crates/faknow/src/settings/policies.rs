//! What happens if a setting is changed when a run is resumed.

use faknow_trainer::{ChangeKind, ResumePolicies, ResumePolicy};

use super::SettingsTable;

pub(super) const FREE: ResumePolicy = ResumePolicy::Free;
pub(super) const DATA: ResumePolicy = ResumePolicy::Allow(ChangeKind::Data);
pub(super) const MODEL: ResumePolicy = ResumePolicy::Allow(ChangeKind::Model);
pub(super) const CONFIG: ResumePolicy = ResumePolicy::Allow(ChangeKind::Config);
/// The weights belong to the saved classes, vocabulary and weighting.
pub(super) const ENCODING: ResumePolicy = ResumePolicy::Refused(
    "the weights of the run belong to this value: restore it, or start a new run (`faknow train`)",
);
/// Splits and initial weights are drawn from the seed.
pub(super) const SEED: ResumePolicy = ResumePolicy::Refused(
    "splits and batches of the run were drawn from this seed: restore it, or start a new run (`faknow train`)",
);
/// Files and values that are used only at the start.
pub(super) const INITIAL: ResumePolicy = ResumePolicy::Refused(
    "it has an effect only at the start of a run: restore it, or start a new run (`faknow train`)",
);
pub(super) const SMOKE_TEST: ResumePolicy =
    ResumePolicy::Refused("a smoke test is a separate run: start a new run (`faknow train`)");

/// Settings that the trainer records itself, and that the config has under other names.
const RECORDED_TWICE: [&str; 2] = ["step", "trainer.stop_after"];

/// Returns the policy of every setting, by name; that of a list of tables under its name.
pub(crate) fn policies(tables: &[SettingsTable]) -> ResumePolicies {
    let settings = tables.iter().flat_map(|table| &table.settings);
    let mut policies: ResumePolicies =
        settings.map(|setting| (setting.key.clone(), setting.on_resume)).collect();
    let lists = tables.iter().filter(|table| table.is_list);
    policies.extend(lists.filter_map(|it| Some((it.name.to_owned(), it.settings.first()?.on_resume))));
    policies.extend(RECORDED_TWICE.map(|name| (name.to_owned(), FREE)));
    policies
}
