//! Writes the checkpoints of a run and retains those that its policy asks for; knows no model.

use std::collections::BTreeMap;
use std::path::Path;

use faknow_callbacks::{Best, Monitor, SavedCheckpoint, State, Timestamp};
use faknow_metrics::{EpochRecord, History};
use faknow_model::weights;
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use super::names::{self, BEST, FAILED, LAST, PREVIOUS};
use super::part::{Checkpointable, from_state, to_state};
use super::policy::CheckpointPolicy;
use super::ranking::{CheckpointId, Rank, Retention};
use super::resume::has_checkpoint;
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
    /// The store, and what keeps other processes out of the directory.
    Disk(CheckpointStore, RunDir),
}

impl Checkpointer {
    pub(crate) fn new(policy: CheckpointPolicy, run_dir: Option<RunDir>) -> Self {
        let storage = match run_dir {
            Some(dir) => Storage::Disk(CheckpointStore::new(dir.path()), dir),
            None => Storage::Memory(None),
        };
        Self { policy, retention: Retention::default(), storage }
    }

    /// Returns the checkpoints on the disk; `None` without a run directory.
    pub(crate) fn store(&self) -> Option<&CheckpointStore> {
        match &self.storage {
            Storage::Disk(store, _) => Some(store),
            Storage::Memory(_) => None,
        }
    }

    /// Whether the run directory is one of a run that was started before.
    pub(crate) fn is_reopened(&self) -> bool {
        matches!(&self.storage, Storage::Disk(_, run_dir) if !run_dir.is_new())
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
            Storage::Disk(store, _) => {
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
        if let Some(store) = self.store() {
            store.save_keeping_previous(LAST, PREVIOUS, checkpoint)?;
        }
        self.reconcile()
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

    /// Makes the directories agree with what is to be retained. `last` was written before, so nothing is lost by a crash
    /// in between: a resumed run reconciles again. Only checkpoints of the run's own branch are ever removed.
    pub(crate) fn reconcile(&self) -> Result<()> {
        let Some(store) = self.store() else { return Ok(()) };
        let wanted = self.retention.wanted(&self.policy);
        for (name, id) in &wanted {
            if id_of(store, name) != Some(*id)
                && let Some(source) = source_of(store, *id)
            {
                store.link(&source, name)?;
            }
        }
        if self.policy.keep == 0 && self.policy.best <= 1 {
            return Ok(());
        }
        for entry in store.list() {
            let is_own = entry.info.as_ref().is_ok_and(|info| info.branch == self.retention.lineage.branch());
            let is_wanted = wanted.iter().any(|(name, _)| *name == entry.name);
            if is_own && !is_wanted && names::is_retained(&entry.name) {
                store.remove(&entry.name)?;
            }
        }
        Ok(())
    }

    /// Opens another branch if the run is resumed from a checkpoint that is not the newest, so that nothing of the former
    /// branch is overwritten or confused: its `last` and `best` get names of their own.
    pub(crate) fn fork_from(&mut self, from: &CheckpointInfo) -> Result<()> {
        let Storage::Disk(store, _) = &self.storage else { return Ok(()) };
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
        let (Some(monitor), Storage::Disk(store, _)) = (monitor, &self.storage) else { return Ok(best) };
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

/// The weights of a checkpoint, if it can be read.
fn id_of(store: &CheckpointStore, name: &str) -> Option<CheckpointId> {
    store.read_info(name).ok().map(|info| info.id())
}

/// A checkpoint of these weights from which the run can be resumed, `last` first.
fn source_of(store: &CheckpointStore, id: CheckpointId) -> Option<String> {
    let others = store.list().into_iter().map(|entry| entry.name).filter(|name| name != FAILED);
    std::iter::once(LAST.to_owned()).chain(others).find(|name| id_of(store, name) == Some(id))
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
