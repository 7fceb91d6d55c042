//! Writes the checkpoints of a run and retains those that its policy asks for; knows no model.

use std::collections::BTreeMap;
use std::path::Path;

use faknow_callbacks::{Best, Monitor, SavedCheckpoint, State, Timestamp};
use faknow_metrics::{EpochRecord, History};
use faknow_model::weights;
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use super::background::{Background, Save};
use super::names::{self, BEST, FAILED, LAST};
use super::part::{Checkpointable, from_state, to_state};
use super::policy::CheckpointPolicy;
use super::ranking::{CheckpointId, Rank, Retention};
use super::resume::has_checkpoint;
use super::save::{SavedNames, id_of, reconcile, write_last};
use super::{Checkpoint, CheckpointInfo, CheckpointStore};
use crate::Result;
use crate::system::run_dir::RunDir;

/// The name of the weights in a checkpoint: those that a detector uses.
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
    /// What is being written in the background. Dropped first: until it is on the disk, no other process may write.
    background: Background,
    store: CheckpointStore,
    /// Keeps other processes out of the directory.
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

    /// Returns the checkpoints on the disk; `None` without a run directory. Before it is read or written in the middle of a
    /// fit, all saves must have been written: see [`is_saving`](Self::is_saving).
    pub(crate) fn store(&self) -> Option<&CheckpointStore> {
        match &self.storage {
            Storage::Disk(disk) => Some(&disk.store),
            Storage::Memory(_) => None,
        }
    }

    /// Whether the run directory is one of a run that was started before.
    pub(crate) fn is_reopened(&self) -> bool {
        matches!(&self.storage, Storage::Disk(disk) if !disk.run_dir.is_new())
    }

    /// Whether the run directory has any checkpoint, of whatever kind.
    pub(crate) fn holds_run(&self) -> bool {
        self.store().is_some_and(|store| !store.list().is_empty())
    }

    /// Whether there is a checkpoint that the run can be resumed from.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.store().is_some_and(has_checkpoint)
    }

    pub(crate) fn policy(&self) -> &CheckpointPolicy {
        &self.policy
    }

    /// Returns the branch of the checkpoint that would be written at this step.
    pub(crate) fn branch(&self, step: u64) -> u32 {
        self.retention.lineage.id(step).branch
    }

    /// Whether `last` is due on the way from `before` to `now`.
    pub(crate) fn is_due(&self, before: &Timestamp, now: &Timestamp) -> bool {
        self.policy.every.is_due(before, now)
    }

    /// Ranks a validation by the run's monitor, given the best so far, and by the further ones.
    pub(crate) fn rank(
        &mut self,
        monitor: (&Monitor, Option<f64>),
        monitors: &[Monitor],
        record: &EpochRecord,
        is_inside: bool,
    ) -> Result<(Rank, Option<Best>)> {
        let (epoch, step) = (record.epoch, record.step);
        let best_by = |monitor: &Monitor, value| Best { epoch, step, monitor: monitor.name.clone(), value };
        let (mut rank, mut best) = (Rank::default(), None);
        if let Some(value) = monitor.0.require(record)? {
            let validation = best_by(monitor.0, value);
            let name = self.retention.name_of(epoch, step, is_inside);
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

    /// Forgets which validations were the best by the run's monitor.
    pub(crate) fn forget_best(&mut self) {
        self.retention.top.clear();
        if let Storage::Memory(best) = &mut self.storage {
            *best = None;
        }
    }

    /// Keeps copies of the best weights, if there is no run directory for them.
    pub(crate) fn keep_best(&mut self, weights: &BTreeMap<String, Tensor>) {
        if let Storage::Memory(best) = &mut self.storage {
            let copy = |t: &Tensor| no_grad(|| t.to_device(Device::Cpu).copy().contiguous());
            *best = Some(weights.iter().map(|(name, tensor)| (name.clone(), copy(tensor))).collect());
        }
    }

    /// Puts the weights of the best validation into the model's variables; returns whether there are any.
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

    /// Retains the checkpoint that is about to be written under a name of its own, if the policy asks for that.
    pub(crate) fn retain_newest(&mut self, epoch: usize, step: u64, is_inside: bool) {
        if self.policy.keep > 0 {
            let name = self.retention.name_of(epoch, step, is_inside);
            self.retention.retain_newest(name, step, self.policy.keep);
        }
    }

    /// Writes `last`, and makes the other checkpoints what the policy asks for.
    pub(crate) fn save_last(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.store().map_or(Ok(()), |store| write_last(store, &self.retention, &self.policy, checkpoint))
    }

    /// Has `last` written while the run continues, and callbacks are to be notified of `names` then. If the former save is
    /// still being written this one waits, in the place of one that waited: see
    /// [`is_waiting_save_retained`](Self::is_waiting_save_retained).
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

    /// Whether the save that waits is one of those to be retained, as things are now: then it must not be replaced.
    pub(crate) fn is_waiting_save_retained(&self) -> bool {
        let waiting = self.background().and_then(Background::waiting);
        waiting.is_some_and(|id| self.retention.wanted(&self.policy).iter().any(|(_, wanted)| *wanted == id))
    }

    /// Whether a save has yet to be written, or to be notified of.
    pub(crate) fn is_saving(&self) -> bool {
        self.background().is_some_and(Background::is_busy)
    }

    /// Whether [`finish_writing`](Self::finish_writing) would return names or an error at once.
    pub(crate) fn has_written(&self) -> bool {
        self.background().is_some_and(Background::has_written)
    }

    /// Waits for the save that is being written, if there is one; returns its error, or the names to notify callbacks of.
    pub(crate) fn finish_writing(&mut self) -> Result<SavedNames> {
        match &mut self.storage {
            Storage::Disk(disk) => disk.background.finish_writing(),
            Storage::Memory(_) => Ok(&[]),
        }
    }

    /// Starts to write the save that waits, if there is one.
    pub(crate) fn start_waiting(&mut self) -> Result<()> {
        match &mut self.storage {
            Storage::Disk(disk) => disk.background.start_waiting(),
            Storage::Memory(_) => Ok(()),
        }
    }

    /// Has all written, whatever comes of it, when the fit panics.
    pub(crate) fn finish_after_panic(&mut self) {
        while self.is_saving() {
            if let Err(error) = self.finish_writing().and_then(|_| self.start_waiting()) {
                tracing::warn!("the run could not be saved: {error}");
            }
        }
    }

    fn background(&self) -> Option<&Background> {
        match &self.storage {
            Storage::Disk(disk) => Some(&disk.background),
            Storage::Memory(_) => None,
        }
    }

    /// Writes the checkpoint of a run that failed in the middle of an update: not one to resume from.
    pub(crate) fn save_failed(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.store().map_or(Ok(()), |store| Ok(store.save(FAILED, checkpoint)?))
    }

    /// Returns name and path of a checkpoint, for callbacks; `None` without a run directory.
    pub(crate) fn saved(&self, name: &str) -> Option<SavedCheckpoint> {
        let store = self.store()?;
        Some(SavedCheckpoint { name: name.to_owned(), path: store.path(name) })
    }

    /// Makes the directories agree with what is to be retained.
    pub(crate) fn reconcile(&self) -> Result<()> {
        self.store().map_or(Ok(()), |store| reconcile(store, &self.retention, &self.policy))
    }

    /// Opens another branch if the run is resumed from a checkpoint that is not the newest, so that nothing of the former
    /// branch is overwritten or confused: its `last` and `best` get names of their own.
    pub(crate) fn fork_from(&mut self, from: &CheckpointInfo) -> Result<()> {
        let Storage::Disk(Disk { store, .. }) = &self.storage else { return Ok(()) };
        let infos =
            || store.list().into_iter().filter(|entry| entry.name != FAILED).filter_map(|e| e.info.ok());
        let newest = infos().map(|info| info.id()).max();
        if newest.is_none_or(|newest| newest == from.id()) {
            return Ok(());
        }
        for name in [LAST, BEST] {
            // One that is corrupted is not worth a name.
            let Ok(info) = store.verify(name) else { continue };
            if info.step <= from.step && self.retention.lineage.id(info.step) == info.id() {
                continue;
            }
            let mut kept = names::of_branch(name, info.branch);
            if id_of(store, &kept).is_some_and(|id| id != info.id()) {
                kept = format!("{kept}-step-{:08}", info.step);
            }
            if id_of(store, &kept) != Some(info.id()) {
                store.link(name, &kept)?;
                tracing::info!("`{name}` of the run so far stays as `{kept}`");
            }
        }
        let branch = infos().map(|info| info.branch).max().map_or(1, |branch| branch + 1);
        self.retention.lineage.fork(branch, from.step);
        Ok(())
    }

    /// Makes `best` what the run thinks it is. If its monitor is another one than before, or its best checkpoint is gone,
    /// the best is chosen from the history, among the checkpoints that are left.
    pub(crate) fn restore_best(
        &mut self,
        best: Option<Best>,
        monitor: Option<&Monitor>,
        history: &History,
    ) -> Result<Option<Best>> {
        self.reconcile()?;
        let (Some(monitor), Storage::Disk(Disk { store, .. })) = (monitor, &self.storage) else {
            return Ok(best);
        };
        let is_there = |best: &Best| {
            best.monitor == monitor.name && id_of(store, BEST) == Some(self.retention.lineage.id(best.step))
        };
        if best.as_ref().is_some_and(is_there) {
            return Ok(best);
        }
        let ids: Vec<CheckpointId> = store
            .list()
            .into_iter()
            .filter(|entry| entry.name != FAILED)
            .filter_map(|entry| entry.info.ok().map(|info| info.id()))
            .collect();
        let chosen = self.retention.rank_again(monitor, history, &self.policy, |id| ids.contains(&id));
        if let Some(best) = &best {
            let now = chosen
                .as_ref()
                .map_or_else(|| "none".to_owned(), |chosen| format!("that of step {}", chosen.step));
            tracing::warn!(
                "the best checkpoint by `{}` was that of step {}; by `{}` it is, of those that are left, {now}",
                best.monitor,
                best.step,
                monitor.name
            );
        }
        self.reconcile()?;
        Ok(chosen)
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
