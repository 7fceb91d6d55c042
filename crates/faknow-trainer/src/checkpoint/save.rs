//! What a save does on the disk: writes `last`, and gives names to what is retained.

use super::names::{self, FAILED, LAST, PREVIOUS};
use super::policy::CheckpointPolicy;
use super::ranking::{CheckpointId, Retention};
use super::{Checkpoint, CheckpointStore};
use crate::Result;

/// Names of the checkpoints that a save has written, to notify callbacks of.
pub(crate) type SavedNames = &'static [&'static str];

/// Writes `last`, and makes the other checkpoints what the policy asks for.
pub(super) fn write_last(
    store: &CheckpointStore,
    retention: &Retention,
    policy: &CheckpointPolicy,
    checkpoint: &Checkpoint,
) -> Result<()> {
    store.save_keeping_previous(LAST, PREVIOUS, checkpoint)?;
    reconcile(store, retention, policy)
}

/// Makes the directories agree with what is to be retained. `last` was written before, so nothing is lost by a crash in
/// between: a resumed run reconciles again. Only checkpoints of the run's own branch are ever removed.
pub(super) fn reconcile(
    store: &CheckpointStore,
    retention: &Retention,
    policy: &CheckpointPolicy,
) -> Result<()> {
    let wanted = retention.wanted(policy);
    for (name, id) in &wanted {
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
        let is_wanted = wanted.iter().any(|(name, _)| *name == entry.name);
        if is_own && !is_wanted && names::is_retained(&entry.name) {
            store.remove(&entry.name)?;
        }
    }
    Ok(())
}

/// The weights of a checkpoint, if it can be read.
pub(super) fn id_of(store: &CheckpointStore, name: &str) -> Option<CheckpointId> {
    store.read_info(name).ok().map(|info| info.id())
}

/// A checkpoint of these weights from which the run can be resumed, `last` first.
fn source_of(store: &CheckpointStore, id: CheckpointId) -> Option<String> {
    let others = store.list().into_iter().map(|entry| entry.name).filter(|name| name != FAILED);
    std::iter::once(LAST.to_owned()).chain(others).find(|name| id_of(store, name) == Some(id))
}
