//! What a run writes to its checkpoints, and which of them it keeps.

use std::collections::BTreeMap;

use faknow_callbacks::{Best, BestTracker, LoggedValues, SavedCheckpoint, StopReason, Timestamp};
use faknow_metrics::EpochRecord;
use faknow_model::{Model, weights};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::Tensor;

use crate::checkpoint::best_weights::BestWeights;
use crate::checkpoint::resume::Fingerprints;
use crate::checkpoint::{Checkpoint, CheckpointInfo};
use crate::fit::sums::SavedSums;
use crate::{Error, Profile, Result, Trainer};

/// The checkpoint of the run as it stands.
pub(crate) const LAST: &str = "last";
/// What `last` was before.
pub(crate) const PREVIOUS: &str = "previous";
/// The checkpoint of the best validation.
pub(crate) const BEST: &str = "best";
/// The checkpoint of a run that failed in the middle of an update.
pub(crate) const FAILED: &str = "failed";

/// The group of the weights that a detector uses: their average, if there is one.
pub(crate) const MODEL: &str = "model";
/// The group of the weights that training goes on with, where those are others.
pub(crate) const TRAINING: &str = "training";
pub(crate) const OPTIMIZER: &str = "optimizer";
pub(crate) const CALLBACKS: &str = "callbacks";
pub(crate) const STEP: &str = "step";

/// Everything of a run that is no tensor, as it stands in `state.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedRun {
    pub(crate) epoch: usize,
    pub(crate) batch: usize,
    pub(crate) step: u64,
    pub(crate) samples: u64,
    pub(crate) seconds: f64,
    pub(crate) skipped: u64,
    pub(crate) max_epochs: usize,
    pub(crate) n_batches: usize,
    pub(crate) learning_rates: Vec<f64>,
    pub(crate) rate_factor: f64,
    pub(crate) n_roll_backs: u32,
    /// Whether the epoch is not recorded yet, and what it added up so far.
    pub(crate) open: bool,
    pub(crate) sums: SavedSums,
    pub(crate) norms: SavedSums,
    pub(crate) epoch_learning_rates: Vec<f64>,
    pub(crate) epoch_seconds: f64,
    pub(crate) n_skips: u64,
    pub(crate) saved_at: Timestamp,
    pub(crate) validated_at: Timestamp,
    pub(crate) stopping: Option<StopReason>,
    pub(crate) ended: Option<StopReason>,
    pub(crate) history: Value,
    pub(crate) logged: LoggedValues,
    pub(crate) best: Option<Best>,
    pub(crate) best_tracker: Option<BestTracker>,
    pub(crate) kept: Kept,
    pub(crate) n_averaged: u64,
    pub(crate) profile: Profile,
    pub(crate) schedule: Option<Value>,
    pub(crate) optimizer: Value,
    pub(crate) callbacks: Value,
    pub(crate) step_state: Value,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) hyperparameters: Map<String, Value>,
}

/// Which checkpoints the run keeps beside `last` and `previous`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The newest, oldest first, by name.
    pub(crate) newest: Vec<String>,
    /// The best validations by the run's monitor, best first: name and what was measured.
    pub(crate) top: Vec<(String, Best)>,
    /// The best by each further monitor.
    pub(crate) others: Vec<Best>,
}

impl<M: Model> Trainer<M> {
    /// Takes a validation into account; answers whether a checkpoint is to be written for it.
    pub(crate) fn judge(&mut self, record: &EpochRecord) -> Result<bool> {
        if record.valid.is_none() {
            return Ok(false);
        }
        let Some(monitor) = self.run.monitor().cloned() else { return Ok(false) };
        let (epoch, step) = (record.epoch, record.step);
        let mut wanted = false;
        if let Some(value) = monitor.require(record)? {
            let best = Best { epoch, step, monitor: monitor.name.clone(), value };
            let name = self.checkpoint_name();
            let top = &mut self.kept.top;
            let rank = top.iter().position(|(_, other)| monitor.direction.better(value, other.value));
            let rank = rank.unwrap_or(top.len());
            if rank < self.settings.checkpoints.best {
                top.insert(rank, (name, best.clone()));
                top.truncate(self.settings.checkpoints.best);
                wanted = true;
            }
            if self.best_tracker.as_mut().is_some_and(|tracker| tracker.observe(Some(value))) {
                self.run.progress_mut().best = Some(best);
                self.best = match self.store {
                    Some(_) => BestWeights::Stored,
                    None => BestWeights::Memory(self.weights_in_use()?),
                };
            }
        }
        for name in &self.settings.checkpoints.monitors {
            let other = self.run.monitors().iter().find(|m| m.name == *name).cloned();
            let Some((other, value)) = other.and_then(|other| Some((other.clone(), other.value(record)?)))
            else {
                continue;
            };
            let others = &mut self.kept.others;
            let known = others.iter().position(|best| best.monitor == *name);
            if known.is_none_or(|at| other.direction.better(value, others[at].value)) {
                known.map(|at| others.remove(at));
                others.push(Best { epoch, step, monitor: name.clone(), value });
                wanted = true;
            }
        }
        Ok(wanted && self.store.is_some())
    }

    /// Writes `last`, and puts beside it what else is to be kept of it.
    pub(crate) fn save_last(&mut self, improved: bool, ended: Option<&StopReason>) -> Result<()> {
        if self.store.is_none() {
            return Ok(());
        }
        let start = std::time::Instant::now();
        let now = self.run.timestamp();
        let keep = self.settings.checkpoints.keep;
        if keep > 0 && self.settings.checkpoints.every.is_due(&self.at.saved_at, &now) {
            let name = self.checkpoint_name();
            self.kept.newest.retain(|other| *other != name);
            self.kept.newest.push(name);
            let surplus = self.kept.newest.len().saturating_sub(keep);
            self.kept.newest.drain(..surplus);
        }
        self.at.saved_at = now;
        self.write_last(ended)?;
        self.profile.checkpoints += start.elapsed().as_secs_f64();
        self.tell_saved(LAST)?;
        let is_best = improved && self.run.best().is_some_and(|best| best.step == self.run.step());
        if is_best { self.tell_saved(BEST) } else { Ok(()) }
    }

    /// Writes `last` out of turn, since the run ends here before its time. What is still to be done at this place
    /// (a validation, a checkpoint that is kept) the resumed run does.
    pub(crate) fn save_out_of_turn(&mut self) -> Result<()> {
        if self.store.is_none() {
            return Ok(());
        }
        self.write_last(None)?;
        self.tell_saved(LAST)
    }

    fn write_last(&self, ended: Option<&StopReason>) -> Result<()> {
        let checkpoint = self.checkpoint(ended)?;
        if let Some(store) = &self.store {
            store.save_keeping_previous(LAST, PREVIOUS, &checkpoint)?;
        }
        self.settle()
    }

    fn tell_saved(&mut self, name: &str) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let saved = SavedCheckpoint { name: name.to_owned(), path: store.path(name) };
        Ok(self.callbacks.on_checkpoint(&mut self.run, &saved)?)
    }

    /// Makes the folders agree with what is to be kept; `last` was written before, so nothing is lost by a crash
    /// in between: a resumed run settles again.
    pub(crate) fn settle(&self) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let kept = &self.kept;
        let step_of = |name: &str| store.read_info(name).ok().map(|info| info.step);
        let last = step_of(LAST);
        let have = |name: &str, step: u64| -> Result<()> {
            if step_of(name) == Some(step) {
                return Ok(());
            }
            let twin = kept.top.iter().find(|(_, best)| best.step == step).map(|(name, _)| name.as_str());
            let source =
                [(last == Some(step)).then_some(LAST), twin.filter(|twin| step_of(twin) == Some(step))];
            match source.into_iter().flatten().find(|source| *source != name) {
                Some(source) => Ok(store.link(source, name)?),
                None => Ok(()),
            }
        };
        // A single best needs no second name.
        let named: Vec<&(String, Best)> =
            kept.top.iter().filter(|_| self.settings.checkpoints.best > 1).collect();
        for (name, best) in &named {
            have(name, best.step)?;
        }
        for name in &kept.newest {
            if step_of(name).is_none()
                && let Some(step) = last
                && *name == self.checkpoint_name()
            {
                have(name, step)?;
            }
        }
        if let Some((_, best)) = kept.top.first() {
            have(BEST, best.step)?;
        }
        for best in &kept.others {
            have(&format!("{BEST}-{}", file_name(&best.monitor)), best.step)?;
        }
        let wanted = |name: &str| {
            kept.newest.iter().any(|kept| kept == name) || named.iter().any(|(kept, _)| kept == name)
        };
        if self.settings.checkpoints.keep == 0 && named.is_empty() {
            return Ok(());
        }
        for found in store.list() {
            let periodic = found.name.starts_with("epoch-") || found.name.starts_with("step-");
            if periodic && !wanted(&found.name) {
                store.remove(&found.name)?;
            }
        }
        Ok(())
    }

    /// After an error: saves the run as `last` if it can go on from here, else what there is as `failed`. That this
    /// fails too must not hide the first error.
    pub(crate) fn save_after(&mut self, _error: &Error) {
        if self.run.step() == 0 || self.store.is_none() {
            return;
        }
        let saved = if self.exact { self.save_exact() } else { self.save_failed() };
        if let Err(unsaved) = saved {
            tracing::warn!("the run could not be saved after the error: {unsaved}");
        }
    }

    fn save_exact(&mut self) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let unchanged = store.read_info(LAST).is_ok_and(|info| {
            (info.step, info.batch, info.epoch) == (self.run.step(), self.batch(), self.run.epoch())
        });
        if unchanged {
            return Ok(());
        }
        self.write_last(None)
    }

    fn save_failed(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint(None)?;
        if let Some(store) = &self.store {
            store.save(FAILED, &checkpoint)?;
        }
        Ok(())
    }

    /// The whole run as it stands. Nothing is copied: it is to be written at once.
    fn checkpoint(&self, ended: Option<&StopReason>) -> Result<Checkpoint> {
        let run = &self.run;
        let optimizer = self.optimizer.state()?;
        let callbacks = self.callbacks.state()?;
        let step = self.step.state()?;
        let saved = SavedRun {
            epoch: run.epoch(),
            batch: run.batch(),
            step: run.step(),
            samples: run.samples(),
            seconds: run.seconds(),
            skipped: run.skipped(),
            max_epochs: run.max_epochs(),
            n_batches: run.n_batches(),
            learning_rates: run.learning_rates.clone(),
            rate_factor: self.rate_factor,
            n_roll_backs: self.n_roll_backs,
            open: self.at.open,
            sums: self.at.sums.state()?,
            norms: self.at.norms.state()?,
            epoch_learning_rates: self.at.learning_rates.clone(),
            epoch_seconds: self.at.seconds,
            n_skips: self.at.n_skips,
            saved_at: self.at.saved_at,
            validated_at: self.at.validated_at,
            stopping: self.at.stopping.clone(),
            ended: ended.cloned(),
            history: run.history().to_state(),
            logged: run.progress().logged.clone(),
            best: run.best().cloned(),
            best_tracker: self.best_tracker.clone(),
            kept: self.kept.clone(),
            n_averaged: self.average.as_ref().map_or(0, |average| average.n_taken()),
            profile: self.profile,
            schedule: self.schedule.as_ref().map(|schedule| schedule.state()),
            optimizer: optimizer.values,
            callbacks: callbacks.values,
            step_state: step.values,
            fingerprints: self.fingerprints.clone(),
            hyperparameters: run.hyperparameters().clone(),
        };
        let mut tensors = BTreeMap::from([(MODEL.to_owned(), self.weights_in_use()?)]);
        if self.average.is_some() {
            tensors.insert(TRAINING.to_owned(), own_weights(self));
        }
        for (group, named) in
            [(OPTIMIZER, optimizer.tensors), (CALLBACKS, callbacks.tensors), (STEP, step.tensors)]
        {
            if !named.is_empty() {
                tensors.insert(group.to_owned(), named);
            }
        }
        let state = serde_json::to_value(saved)
            .map_err(|error| Error::State { part: "run", message: error.to_string() })?;
        let validated = run.monitor().and_then(|monitor| {
            let mut records = run.history().epochs.iter().chain(&run.history().inside);
            let record = records.rfind(|record| record.step == run.step())?;
            Some((monitor.name.clone(), monitor.value(record)?))
        });
        let (monitor, value) = validated.unzip();
        let ended = ended.map(|ended| ended.code().to_owned());
        let info = CheckpointInfo {
            branch: 0,
            epoch: run.epoch(),
            batch: self.batch(),
            step: run.step(),
            samples: run.samples(),
            monitor,
            value,
            ended,
        };
        Ok(Checkpoint { info, state, tensors })
    }

    /// The weights that a detector would use now: their average, if there is one. Copies only without a run folder.
    fn weights_in_use(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut tensors =
            if self.store.is_some() { own_weights(self) } else { weights::snapshot(&self.run.vars) };
        if let Some(average) = &self.average {
            for (name, tensor) in average.tensors() {
                let tensor = if self.store.is_some() { tensor.shallow_clone() } else { tensor.copy() };
                tensors.insert(name.clone(), tensor);
            }
        }
        Ok(tensors)
    }

    /// Batches done in an epoch that is not recorded yet.
    fn batch(&self) -> usize {
        if self.at.open { self.run.batch() } else { 0 }
    }

    /// The name of a checkpoint that is kept: after its epoch or, inside of one, its step.
    fn checkpoint_name(&self) -> String {
        if self.run.batch() >= self.run.n_batches() {
            format!("epoch-{:04}", self.run.epoch())
        } else {
            format!("step-{:08}", self.run.step())
        }
    }
}

/// Handles to the weights that training goes on with.
fn own_weights<M: Model>(trainer: &Trainer<M>) -> BTreeMap<String, Tensor> {
    trainer.run.vars.variables().into_iter().map(|(name, tensor)| (name, tensor.detach())).collect()
}

/// A value's name as part of a folder's.
fn file_name(monitor: &str) -> String {
    monitor.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}
