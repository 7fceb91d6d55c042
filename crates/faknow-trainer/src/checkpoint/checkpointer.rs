//! Writing and retaining the checkpoints of a run as its policy requires, independent of the model.

use std::collections::BTreeMap;
use std::path::Path;

use faknow_callbacks::{Best, Monitor, SavedCheckpoint, State, Timestamp};
use faknow_metrics::{EpochRecord, History};
use faknow_model::weights;
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use super::background::{Background, Save};
use super::names::{self, BEST, FAILED, LAST, PREVIOUS};
use super::part::{Checkpointable, from_state, to_state};
use super::policy::CheckpointPolicy;
use super::ranking::{CheckpointId, Rank, Retention};
use super::resume::has_checkpoint;
use super::save::{SavedNames, id_of, reconcile, write_last};
use super::{Checkpoint, CheckpointInfo, CheckpointStore};
use crate::Result;
use crate::system::run_dir::RunDir;

/// The group of a checkpoint with the weights that a detector uses.
pub(crate) const MODEL: &str = "model";

/// The checkpoints of a run: in its directory or, without one, the best weights in memory.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    policy: CheckpointPolicy,
    retention: Retention,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    /// Copies of the best weights, on the CPU.
    Memory(Option<BTreeMap<String, Tensor>>),
    Disk(Disk),
}

#[derive(Debug)]
struct Disk {
    /// Saves in the background. Dropped before the lock of the run directory, which excludes other processes.
    background: Background,
    store: CheckpointStore,
    /// Locks the directory.
    run_dir: RunDir,
}

impl Checkpointer {
    pub(crate) fn new(policy: CheckpointPolicy, run_dir: Option<RunDir>) -> Self {
        let storage = match run_dir {
            Some(run_dir) => {
                let store = CheckpointStore::new(run_dir.path());
                Storage::Disk(Disk { background: Background::default(), store, run_dir })
            }
            None => Storage::Memory(None),
        };
        Self { policy, retention: Retention::default(), storage }
    }

    /// Returns the store, or `None` without a run directory. During a fit it must not be used before all saves are
    /// finished: see [`is_saving`](Self::is_saving).
    pub(crate) fn store(&self) -> Option<&CheckpointStore> {
        match &self.storage {
            Storage::Disk(disk) => Some(&disk.store),
            Storage::Memory(_) => None,
        }
    }

    /// Returns whether the run directory is that of a run that was started before.
    pub(crate) fn is_reopened(&self) -> bool {
        matches!(&self.storage, Storage::Disk(disk) if !disk.run_dir.is_new())
    }

    /// Returns whether the run directory has any checkpoint.
    pub(crate) fn holds_run(&self) -> bool {
        self.store().is_some_and(|store| !store.list().is_empty())
    }

    /// Returns whether there is a checkpoint from which the run can be resumed.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.store().is_some_and(has_checkpoint)
    }

    pub(crate) fn policy(&self) -> &CheckpointPolicy {
        &self.policy
    }

    /// Returns the branch of a checkpoint of this step.
    pub(crate) fn branch(&self, step: u64) -> u32 {
        self.retention.lineage.id(step).branch
    }

    /// Returns whether `last` is due between `before` and `now`.
    pub(crate) fn is_due(&self, before: &Timestamp, now: &Timestamp) -> bool {
        self.policy.every.is_due(before, now)
    }

    /// Ranks a validation by the run's monitor, given the best value so far, and by the additional monitors.
    pub(crate) fn rank(
        &mut self,
        monitor: (&Monitor, Option<f64>),
        monitors: &[Monitor],
        record: &EpochRecord,
        is_mid_epoch: bool,
    ) -> Result<(Rank, Option<Best>)> {
        let (epoch, step) = (record.epoch, record.step);
        let best_by = |monitor: &Monitor, value| Best { epoch, step, monitor: monitor.name.clone(), value };
        let (mut rank, mut best) = (Rank::default(), None);
        if let Some(value) = monitor.0.require(record)? {
            let validation = best_by(monitor.0, value);
            let name = self.retention.name_of(epoch, step, is_mid_epoch);
            rank = self.retention.rank(monitor, name, &validation, self.policy.best);
            best = Some(validation).filter(|_| rank.is_best);
        }
        for name in &self.policy.monitors {
            let Some(other) = monitors.iter().find(|other| other.name == *name) else { continue };
            if let Some(value) = other.value(record) {
                rank.is_retained |= self.retention.rank_other(other.direction, best_by(other, value));
            }
        }
        Ok((rank, best))
    }

    /// Clears the ranking of validations by the run's monitor.
    pub(crate) fn forget_best(&mut self) {
        self.retention.top.clear();
        if let Storage::Memory(best) = &mut self.storage {
            *best = None;
        }
    }

    /// Copies the best weights into memory, if there is no run directory.
    pub(crate) fn keep_best(&mut self, weights: &BTreeMap<String, Tensor>) {
        if let Storage::Memory(best) = &mut self.storage {
            let copy = |t: &Tensor| no_grad(|| t.to_device(Device::Cpu).copy().contiguous());
            *best = Some(weights.iter().map(|(name, tensor)| (name.clone(), copy(tensor))).collect());
        }
    }

    /// Restores the weights of the best validation; returns whether there are any.
    pub(crate) fn restore_best_weights(&self, vars: &VarStore) -> Result<bool> {
        match &self.storage {
            Storage::Memory(None) => return Ok(false),
            Storage::Memory(Some(best)) => weights::restore(vars, best, Path::new("best weights"))?,
            Storage::Disk(Disk { store, .. }) => {
                let best = store.read(BEST)?.part(MODEL).unwrap_or_default();
                weights::restore(vars, &best.tensors, &store.path(BEST))?;
            }
        }
        Ok(true)
    }

    /// Retains the next checkpoint to be written under its own name, if the policy requires it.
    pub(crate) fn retain_newest(&mut self, epoch: usize, step: u64, is_mid_epoch: bool) {
        if self.policy.keep > 0 {
            let name = self.retention.name_of(epoch, step, is_mid_epoch);
            self.retention.retain_newest(name, step, self.policy.keep);
        }
    }

    /// Writes `last`, and updates the other checkpoints as the policy requires.
    pub(crate) fn save_last(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.store().map_or(Ok(()), |store| write_last(store, &self.retention, &self.policy, checkpoint))
    }

    /// Writes `last` in the background; `names` are the checkpoints to notify callbacks of afterwards. While another save is
    /// being written, this one is queued and replaces the queued one: see
    /// [`is_queued_save_retained`](Self::is_queued_save_retained).
    pub(crate) fn save_last_in_background(
        &mut self,
        checkpoint: Checkpoint,
        names: SavedNames,
    ) -> Result<()> {
        let Storage::Disk(Disk { background, store, .. }) = &mut self.storage else { return Ok(()) };
        let (retention, policy) = (self.retention.clone(), self.policy.clone());
        background.push(Save {
            store: store.clone(),
            policy,
            retention,
            checkpoint: checkpoint.into_copy()?,
            names,
        })
    }

    /// Returns whether the queued save is currently to be retained: then it must not be replaced.
    pub(crate) fn is_queued_save_retained(&self) -> bool {
        let queued = self.background().and_then(Background::queued);
        queued.is_some_and(|id| self.retention.targets(&self.policy).iter().any(|(_, target)| *target == id))
    }

    /// Returns whether there is a save that is not written yet or that callbacks have not been notified of.
    pub(crate) fn is_saving(&self) -> bool {
        self.background().is_some_and(Background::is_busy)
    }

    /// Returns whether [`finish_writing`](Self::finish_writing) would return names or an error without waiting.
    pub(crate) fn has_written(&self) -> bool {
        self.background().is_some_and(Background::has_written)
    }

    /// Waits for the current save, if any; returns its error, or the names to notify callbacks of.
    pub(crate) fn finish_writing(&mut self) -> Result<SavedNames> {
        match &mut self.storage {
            Storage::Disk(disk) => disk.background.finish_writing(),
            Storage::Memory(_) => Ok(&[]),
        }
    }

    /// Starts the queued save, if any.
    pub(crate) fn start_queued(&mut self) -> Result<()> {
        match &mut self.storage {
            Storage::Disk(disk) => disk.background.start_queued(),
            Storage::Memory(_) => Ok(()),
        }
    }

    /// Finishes all saves after a panic of the fit; errors are only logged.
    pub(crate) fn finish_after_panic(&mut self) {
        while self.is_saving() {
            if let Err(error) = self.finish_writing().and_then(|_| self.start_queued()) {
                tracing::warn!("cannot save the run: {error}");
            }
        }
    }

    fn background(&self) -> Option<&Background> {
        match &self.storage {
            Storage::Disk(disk) => Some(&disk.background),
            Storage::Memory(_) => None,
        }
    }

    /// Writes the checkpoint of a run that failed in the middle of an update, which it cannot be resumed from.
    pub(crate) fn save_failed(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.store().map_or(Ok(()), |store| Ok(store.save(FAILED, checkpoint)?))
    }

    /// Returns the name and path of a checkpoint, for callbacks; `None` without a run directory.
    pub(crate) fn saved(&self, name: &str) -> Option<SavedCheckpoint> {
        let store = self.store()?;
        Some(SavedCheckpoint { name: name.to_owned(), path: store.path(name) })
    }

    /// Creates and removes checkpoints until the directory matches the retention.
    pub(crate) fn reconcile(&self) -> Result<()> {
        self.store().map_or(Ok(()), |store| reconcile(store, &self.retention, &self.policy))
    }

    /// Creates a branch if the run is resumed from a checkpoint that is not the newest. `last`, `previous` and the best ones of
    /// the former branch are retained under other names, so that the new branch does not overwrite them.
    pub(crate) fn fork_from(&mut self, from: &CheckpointInfo) -> Result<()> {
        let Storage::Disk(Disk { store, .. }) = &self.storage else { return Ok(()) };
        let infos =
            || store.list().into_iter().filter(|entry| entry.name != FAILED).filter_map(|e| e.info.ok());
        let newest = infos().map(|info| info.id()).max();
        if newest.is_none_or(|newest| newest == from.id()) {
            return Ok(());
        }
        let others: Vec<String> =
            self.policy.monitors.iter().map(|monitor| names::best_by(monitor)).collect();
        for name in [LAST, PREVIOUS, BEST].into_iter().chain(others.iter().map(String::as_str)) {
            // Corrupted checkpoints are not retained.
            let Ok(info) = store.verify(name) else { continue };
            if info.step <= from.step && self.retention.lineage.id(info.step) == info.id() {
                continue;
            }
            let mut branch_name = names::with_branch(name, info.branch);
            if id_of(store, &branch_name).is_some_and(|id| id != info.id()) {
                branch_name = format!("{branch_name}-step-{:08}", info.step);
            }
            if id_of(store, &branch_name) != Some(info.id()) {
                store.link(name, &branch_name)?;
                tracing::info!("retaining checkpoint `{name}` of the former branch as `{branch_name}`");
            }
        }
        let branch = infos().map(|info| info.branch).max().map_or(1, |branch| branch + 1);
        self.retention.lineage.fork(branch, from.step);
        Ok(())
    }

    /// Removes `best` if its manifest is valid but its content is not: it would count as the checkpoint of the manifest.
    fn remove_corrupted_best(&self) -> Result<()> {
        let Some(store) = self.store().filter(|store| id_of(store, BEST).is_some()) else { return Ok(()) };
        if let Err(error) = store.verify(BEST) {
            tracing::warn!("{error}; removing `{BEST}`");
            store.remove(BEST)?;
        }
        Ok(())
    }

    /// Restores the checkpoint `best` of a resumed run. If the monitor has changed or the best checkpoint is missing or
    /// corrupted, the best is selected from the history, among the existing checkpoints.
    pub(crate) fn restore_best(
        &mut self,
        best: Option<Best>,
        monitor: Option<&Monitor>,
        history: &History,
    ) -> Result<Option<Best>> {
        self.remove_corrupted_best()?;
        self.reconcile()?;
        let (Some(monitor), Storage::Disk(Disk { store, .. })) = (monitor, &self.storage) else {
            return Ok(best);
        };
        let id_of_best = store.verify(BEST).ok().map(|info| info.id());
        let exists = |best: &Best| {
            best.monitor == monitor.name && id_of_best == Some(self.retention.lineage.id(best.step))
        };
        if best.as_ref().is_some_and(exists) {
            return Ok(best);
        }
        let ids: Vec<CheckpointId> = store
            .list()
            .into_iter()
            .filter(|entry| entry.name != FAILED)
            .filter_map(|entry| store.verify(&entry.name).ok().map(|info| info.id()))
            .collect();
        let new_best = self.retention.rerank(monitor, history, &self.policy, |id| ids.contains(&id));
        if let Some(best) = &best {
            let new = new_best
                .as_ref()
                .map_or_else(|| "does not exist".to_owned(), |best| format!("is that of step {}", best.step));
            tracing::warn!(
                "the best checkpoint by `{}` was that of step {}; the best existing one by `{}` {new}",
                best.monitor,
                best.step,
                monitor.name
            );
        }
        self.reconcile()?;
        Ok(new_best)
    }
}

impl Checkpointable for Checkpointer {
    fn state(&self) -> Result<State> {
        to_state("checkpoints", &self.retention)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.retention = from_state("checkpoints", state)?;
        Ok(())
    }
}
