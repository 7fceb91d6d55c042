//! Writing `last`, and linking and removing the retained checkpoints.

use super::names::{self, FAILED, LAST, PREVIOUS};
use super::policy::CheckpointPolicy;
use super::ranking::{CheckpointId, Retention};
use super::{Checkpoint, CheckpointStore};
use crate::Result;

/// Names of the checkpoints that a save writes, which callbacks are notified of.
pub(crate) type SavedNames = &'static [&'static str];

/// Writes `last`, and updates the other checkpoints as the policy requires.
pub(super) fn write_last(
    store: &CheckpointStore,
    retention: &Retention,
    policy: &CheckpointPolicy,
    checkpoint: &Checkpoint,
) -> Result<()> {
    store.save_keeping_previous(LAST, PREVIOUS, checkpoint)?;
    reconcile(store, retention, policy)
}

/// Creates and removes checkpoints until the directory matches `retention`. `last` was written before, so nothing is lost
/// by a crash here: a resumed run reconciles again. Only checkpoints of the run's own branch are removed.
pub(super) fn reconcile(
    store: &CheckpointStore,
    retention: &Retention,
    policy: &CheckpointPolicy,
) -> Result<()> {
    let targets = retention.targets(policy);
    for (name, id) in &targets {
        if id_of(store, name) != Some(*id)
            && let Some(source) = source_of(store, *id)
        {
            store.link(&source, name)?;
        }
    }
    if policy.keep == 0 && policy.best <= 1 {
        return Ok(());
    }
    for entry in store.list() {
        let is_own = entry.info.as_ref().is_ok_and(|info| info.branch == retention.lineage.branch());
        let is_target = targets.iter().any(|(name, _)| *name == entry.name);
        if is_own && !is_target && names::is_retained(&entry.name) {
            store.remove(&entry.name)?;
        }
    }
    Ok(())
}

/// Returns the id of a checkpoint, if its manifest is valid.
pub(super) fn id_of(store: &CheckpointStore, name: &str) -> Option<CheckpointId> {
    store.read_info(name).ok().map(|info| info.id())
}

/// Returns the name of a checkpoint with this id from which the run can be resumed, `last` first.
fn source_of(store: &CheckpointStore, id: CheckpointId) -> Option<String> {
    let others = store.list().into_iter().map(|entry| entry.name).filter(|name| name != FAILED);
    std::iter::once(LAST.to_owned()).chain(others).find(|name| id_of(store, name) == Some(id))
}
