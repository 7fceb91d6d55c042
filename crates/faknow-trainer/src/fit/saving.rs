//! Saving a run to checkpoints and restoring it: the parts of a checkpoint, and when one is written.

use std::collections::BTreeMap;
use std::time::Instant;

use faknow_callbacks::{Monitor, State};
use faknow_metrics::EpochRecord;
use faknow_model::{Model, weights};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::Tensor;

use crate::checkpoint::changes::Changes;
use crate::checkpoint::checkpointer::MODEL;
use crate::checkpoint::names::{BEST, LAST};
use crate::checkpoint::part::{Checkpointable, to_state};
use crate::checkpoint::save::SavedNames;
use crate::checkpoint::{Checkpoint, CheckpointInfo};
use crate::fit::averages;
use crate::fit::optimization::Optimization;
use crate::{Error, Result, Trainer};

/// Part with the state of all callbacks; it is restored after `on_fit_start`.
pub(crate) const CALLBACKS: &str = "callbacks";
/// Part with the settings of the run, which are compared with those of a resumed run.
pub(crate) const SETTINGS: &str = "settings";
/// Part with the weights that training continues with, where a detector uses their average.
const TRAINING: &str = "training";

/// Parts that restart if their settings change.
const OPTIMIZER: &str = "optimizer";
const LEARNING_RATES: &str = "learning_rates";
const STEP: &str = "step";

/// The settings in a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedSettings {
    pub(crate) hyperparameters: Map<String, Value>,
}

impl<M: Model> Trainer<M> {
    /// Returns the parts of the run, in the order in which they are restored after the weights.
    fn parts(&mut self) -> [(&'static str, &mut dyn Checkpointable); 7] {
        let Self { run, task, optimization, state, checkpointer, .. } = self;
        let Optimization { optimizer, learning_rates, average } = optimization;
        [
            ("run", run),
            ("fit", state),
            ("checkpoints", checkpointer),
            (OPTIMIZER, optimizer),
            (LEARNING_RATES, learning_rates),
            (TRAINING, average),
            (STEP, &mut task.step),
        ]
    }

    /// Returns a checkpoint of the current run. Nothing is copied: write or copy it before the run continues.
    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint { info: self.checkpoint_info(), ..Checkpoint::default() };
        checkpoint.insert_part(MODEL, State { tensors: self.weights_in_use(), ..State::default() });
        for (name, part) in self.parts() {
            checkpoint.insert_part(name, part.state()?);
        }
        checkpoint.insert_part(CALLBACKS, Checkpointable::state(&self.callbacks)?);
        let hyperparameters = self.run.hyperparameters().clone();
        checkpoint.insert_part(SETTINGS, to_state(SETTINGS, &SavedSettings { hyperparameters })?);
        Ok(checkpoint)
    }

    fn checkpoint_info(&self) -> CheckpointInfo {
        let run = &self.run;
        let monitored = run.monitor().and_then(|monitor| {
            let history = run.history();
            let record =
                history.epochs.iter().chain(&history.mid_epoch).rfind(|record| record.step == run.step())?;
            Some((monitor.name.clone(), monitor.value(record)?))
        });
        let (monitor, value) = monitored.unzip();
        CheckpointInfo {
            branch: self.checkpointer.branch(run.step()),
            epoch: run.epoch(),
            batch: if self.state.epoch.is_open { run.batch() } else { 0 },
            step: run.step(),
            samples: run.samples(),
            monitor,
            value,
            stop_reason: self.state.stop_reason.as_ref().map(|reason| reason.code().to_owned()),
        }
    }

    /// Restores everything but the callbacks. State that belongs to changed settings restarts, or is computed from the history.
    pub(crate) fn restore(&mut self, checkpoint: &Checkpoint, changes: &Changes) -> Result<()> {
        let is_schedule_changed = changes.affect_schedule();
        let is_average_changed = changes.include("average");
        let part = |name: &str| checkpoint.part(name).unwrap_or_default();
        let origin = self.checkpointer.store().map(|store| store.path(LAST)).unwrap_or_default();
        weights::restore(&self.run.vars, &part(MODEL).tensors, &origin)?;
        if self.optimization.average.is_none() || is_average_changed {
            averages::restore_training_weights(&self.run.vars, &part(TRAINING))?;
        }
        for (name, target) in self.parts() {
            match name {
                OPTIMIZER if !changes.0.is_empty() => match target.restore(&part(name)) {
                    Err(Error::State { message, .. }) => {
                        tracing::warn!(
                            "the optimizer starts without its former state, which does not fit the changed settings: {message}"
                        );
                    }
                    result => result?,
                },
                STEP if changes.include("step") && !part(name).is_empty() => {
                    tracing::warn!("the changed training step starts without the state of the former one");
                }
                LEARNING_RATES if is_schedule_changed => {}
                TRAINING if is_average_changed => {}
                _ => target.restore(&part(name))?,
            }
        }
        if is_schedule_changed {
            self.optimization.learning_rates.restore_without_schedule(&part(LEARNING_RATES))?;
            self.optimization.learning_rates.replay(&self.run)?;
            self.run.learning_rates = self.optimization.apply_settings()?;
        }
        if let Some(average) = self.optimization.average.as_mut().filter(|_| is_average_changed) {
            average.reset()?;
        }
        self.state.move_to(self.task.device);
        self.state.checked_at = self.run.step();
        Ok(())
    }

    /// Ranks a validation that is in the history; returns whether its checkpoint is to be retained.
    pub(crate) fn rank(&mut self, record: &EpochRecord, is_mid_epoch: bool) -> Result<bool> {
        let is_ranked = |monitor: &Monitor| monitor.is_due(record) && monitor.is_recorded(record);
        let Some(monitor) = self.run.monitor().cloned().filter(is_ranked) else { return Ok(false) };
        let best_value = self.run.best().map(|best| best.value);
        let monitors = self.run.monitors();
        let (rank, best) = self.checkpointer.rank((&monitor, best_value), monitors, record, is_mid_epoch)?;
        if best.is_some() {
            self.run.progress_mut().best = best;
            let weights = self.weights_in_use();
            self.checkpointer.keep_best(&weights);
        }
        Ok(rank.is_retained && self.checkpointer.store().is_some())
    }

    /// Ranks an epoch or a validation by a value that a callback has just logged; `before` is the record without logged
    /// values. At the end of an epoch, the value is required.
    pub(crate) fn rank_logged(&mut self, before: &EpochRecord, is_mid_epoch: bool) -> Result<bool> {
        let (Some(monitor), Some(record)) = (self.run.monitor(), self.run.record().cloned()) else {
            return Ok(false);
        };
        if monitor.is_recorded(before) || !monitor.is_due(&record) {
            return Ok(false);
        }
        if !is_mid_epoch {
            monitor.require(&record)?;
        }
        self.rank(&record, is_mid_epoch)
    }

    /// Writes `last`, and retains it under other names as the policy says; `is_retained` if a ranking retains it.
    pub(crate) fn save_last(&mut self, is_retained: bool) -> Result<()> {
        if self.checkpointer.store().is_none() {
            return Ok(());
        }
        self.check_finite()?;
        let start = Instant::now();
        let now = self.run.timestamp();
        if self.checkpointer.is_due(&self.state.saved_at, &now) {
            let is_mid_epoch = self.run.batch() < self.run.n_batches();
            self.checkpointer.retain_newest(self.run.epoch(), self.run.step(), is_mid_epoch);
        }
        self.state.saved_at = now;
        let is_best = is_retained && self.run.best().is_some_and(|best| best.step == self.run.step());
        let names: SavedNames = if is_best { &[LAST, BEST] } else { &[LAST] };
        if self.checkpointer.policy().background {
            return self.save_last_in_background(names);
        }
        self.write_last()?;
        self.state.profile.checkpoints += start.elapsed().as_secs_f64();
        self.notify_saved(names)
    }

    /// Writes `last` while training continues. It replaces a pending checkpoint that is not written yet, unless that one
    /// is to be retained.
    fn save_last_in_background(&mut self, names: SavedNames) -> Result<()> {
        self.check_saving()?;
        if self.checkpointer.is_queued_save_retained() {
            self.finish_one_save()?;
        }
        let start = Instant::now();
        let checkpoint = self.checkpoint()?;
        self.checkpointer.save_last_in_background(checkpoint, names)?;
        self.state.profile.checkpoints += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Waits until all background saves are on disk, and notifies the callbacks.
    pub(crate) fn finish_saving(&mut self) -> Result<()> {
        while self.checkpointer.is_saving() {
            self.finish_one_save()?;
        }
        Ok(())
    }

    /// Notifies the callbacks of a completed background save, and starts the next one.
    pub(crate) fn check_saving(&mut self) -> Result<()> {
        if self.checkpointer.has_written() { self.finish_one_save() } else { Ok(()) }
    }

    fn finish_one_save(&mut self) -> Result<()> {
        let start = Instant::now();
        let saved = self.checkpointer.finish_writing();
        self.state.profile.checkpoints += start.elapsed().as_secs_f64();
        self.notify_saved(saved?)?;
        self.checkpointer.start_queued()
    }

    /// Writes `last` although it is not due, because the run stops here. Work that is still due at this point (a
    /// validation, a retained checkpoint) is done by the resumed run.
    pub(crate) fn save_on_interrupt(&mut self) -> Result<()> {
        if self.checkpointer.store().is_none() {
            return Ok(());
        }
        self.finish_saving()?;
        self.check_finite()?;
        self.write_last()?;
        self.notify_saved(&[LAST])
    }

    /// Saves the run after an error: as `last` if it can be resumed from here, else as `failed`. If this fails too, it only
    /// logs a warning, so that the first error is reported.
    pub(crate) fn save_after_error(&mut self) {
        while let Err(error) = self.finish_saving() {
            tracing::warn!("the run could not be saved before the error: {error}");
        }
        if self.run.step() == 0 || self.checkpointer.store().is_none() {
            return;
        }
        if let Err(error) = self.check_finite() {
            tracing::warn!("before the error: {error}");
        }
        let result =
            if self.state.is_consistent { self.write_last_if_changed() } else { self.write_failed() };
        if let Err(error) = result {
            tracing::warn!("the run could not be saved after the error: {error}");
        }
    }

    fn write_last_if_changed(&mut self) -> Result<()> {
        let now = self.checkpoint_info();
        let last = self.checkpointer.store().and_then(|store| store.read_info(LAST).ok());
        let is_unchanged =
            last.is_some_and(|last| (last.id(), last.batch, last.epoch) == (now.id(), now.batch, now.epoch));
        if is_unchanged { Ok(()) } else { self.write_last() }
    }

    fn write_last(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint()?;
        self.checkpointer.save_last(&checkpoint)
    }

    fn write_failed(&mut self) -> Result<()> {
        let checkpoint = self.checkpoint()?;
        self.checkpointer.save_failed(&checkpoint)
    }

    fn notify_saved(&mut self, names: SavedNames) -> Result<()> {
        for saved in names.iter().filter_map(|name| self.checkpointer.saved(name)) {
            self.callbacks.on_checkpoint(&mut self.run, &saved)?;
        }
        Ok(())
    }

    /// Returns handles to the weights that a detector would use now: the average, if there is one.
    fn weights_in_use(&self) -> BTreeMap<String, Tensor> {
        let weights = self.run.vars.variables().into_iter().map(|(name, tensor)| (name, tensor.detach()));
        let mut tensors: BTreeMap<String, Tensor> = weights.collect();
        if let Some(average) = &self.optimization.average {
            let averaged =
                average.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
            tensors.extend(averaged);
        }
        tensors
    }
}
