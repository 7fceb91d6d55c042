//! Resuming a run from a checkpoint, and rolling back to one after a loss that is not finite.

use faknow_callbacks::{FitStart, SettingChange, StopReason};
use faknow_model::Model;

use crate::checkpoint::changes::{ChangeKind, Changes, ResumePolicy, changed_settings};
use crate::checkpoint::names::LAST;
use crate::checkpoint::part::{SavedRun, from_state};
use crate::checkpoint::resume::{Resume, first_difference};
use crate::checkpoint::{Checkpoint, CheckpointInfo};
use crate::error::setting;
use crate::fit::limits::FitData;
use crate::fit::non_finite::{MAX_ROLL_BACKS, NonFinitePolicy};
use crate::fit::saving::{CALLBACKS, SETTINGS, SavedSettings};
use crate::fit::state::FitState;
use crate::{Error, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Restores the run from a checkpoint; returns the stop reason if the run is finished.
    pub(crate) fn resume_run(
        &mut self,
        resume: &Resume,
        data: &FitData<'_, M::Batch>,
    ) -> Result<Option<StopReason>> {
        let Some(store) = self.checkpointer.store() else {
            return Err(setting("run_dir", "the directory of the run to resume", "none"));
        };
        store.clean()?;
        if !self.checkpointer.has_checkpoint() {
            // The run was killed before its first checkpoint: it starts over, and the logs are truncated.
            tracing::info!("no checkpoint found: starting the run");
            self.prepare(data, self.settings.max_epochs())?;
            self.pass_training_data(data.train())?;
            self.start_callbacks(FitStart::Resumed)?;
            self.check_validation(data)?;
            self.save_start()?;
            return Ok(None);
        }
        let checkpoint = store.read(&resume.from)?;
        let part = |name: &str| checkpoint.part(name).unwrap_or_default();
        let SavedRun { progress: saved, .. } = from_state("run", &part("run"))?;
        let settings: SavedSettings = from_state(SETTINGS, &part(SETTINGS))?;
        let fit: FitState = from_state("fit", &part("fit"))?;
        // A run of several fits has more epochs than the setting says.
        let epochs = |settings: &serde_json::Map<_, _>| settings.get("trainer.epochs").cloned();
        let is_same_length = epochs(&settings.hyperparameters) == epochs(self.run.hyperparameters());
        let max_epochs = if is_same_length { saved.max_epochs } else { self.settings.max_epochs() };
        if max_epochs < saved.epoch {
            // The settings would no longer be those of the weights.
            let n_done = saved.epoch - usize::from(fit.epoch.is_open);
            return Err(setting(
                "max_epochs",
                &format!("more than the {n_done} epochs of the run"),
                max_epochs,
            ));
        }
        self.prepare(data, max_epochs)?;
        let changes = self.check_changes(&settings, &fit, resume)?;
        if !data.train().has_content_fingerprint() {
            tracing::warn!(
                "the training data has no fingerprint, so changes of its samples would not be noticed: implement \
                 `Dataset::fingerprint`, for example with `faknow_data::Fingerprint`"
            );
        }
        self.restore(&checkpoint, &changes)?;
        self.record_changes(&changes);
        self.branch_off(&checkpoint.info)?;
        self.start_callbacks(FitStart::Resumed)?;
        self.restore_callbacks(&checkpoint)?;
        let Some(stop_reason) = self.state.stop_reason.take() else {
            self.save_changes(&changes)?;
            return Ok(None);
        };
        let obstacle = self.obstacle(&stop_reason, saved.max_epochs);
        if obstacle.is_none() {
            self.save_changes(&changes)?;
            if !fit.epoch.is_open && saved.batch < saved.n_batches {
                let (epoch, n, all) = (saved.epoch, saved.batch, saved.n_batches);
                tracing::warn!(
                    "the run had stopped after {n} of the {all} batches of epoch {epoch} ({stop_reason}); the other batches of \
                     this epoch are not trained"
                );
            }
            return Ok(None);
        }
        tracing::info!("the run is already finished ({stop_reason}); {}", obstacle.unwrap_or_default());
        self.state.stop_reason = Some(stop_reason.clone());
        self.save_changes(&changes)?;
        self.state.stop_reason = None;
        Ok(Some(stop_reason))
    }

    /// Adds the changed settings to those of the run, each with the current step.
    fn record_changes(&mut self, changes: &Changes) {
        let (step, epoch) = (self.run.step(), self.run.history().epochs.len());
        for change in &changes.0 {
            tracing::info!("{change}");
            let [from, to] = change.values.clone();
            let change = SettingChange { step, epoch, name: change.name.clone(), from, to };
            self.run.progress_mut().changes.push(change);
        }
    }

    /// Saves the run if settings have changed that must be allowed, so that they need not be allowed again.
    fn save_changes(&mut self, changes: &Changes) -> Result<()> {
        if changes.0.iter().any(|change| change.policy != ResumePolicy::Free) {
            self.save_on_interrupt()?;
        }
        Ok(())
    }

    /// Restores the last checkpoint, to continue from there with a lower learning rate.
    pub(crate) fn roll_back(&mut self, error: Error) -> Result<()> {
        self.finish_saving()?;
        let (Some(store), true) = (self.checkpointer.store(), self.state.n_rollbacks < MAX_ROLL_BACKS) else {
            return Err(error);
        };
        let checkpoint = store.read(LAST)?;
        let n_rollbacks = self.state.n_rollbacks + 1;
        self.restore(&checkpoint, &Changes::default())?;
        self.state.n_rollbacks = n_rollbacks;
        let factor = self.optimization.learning_rates.lower(NonFinitePolicy::ROLL_BACK_FACTOR);
        self.run.learning_rates.iter_mut().for_each(|rate| *rate *= NonFinitePolicy::ROLL_BACK_FACTOR);
        self.start_callbacks(FitStart::RolledBack)?;
        self.restore_callbacks(&checkpoint)?;
        tracing::warn!(
            "{error}; rolled back to step {} (epoch {}), continuing with {factor} of the learning rate",
            self.run.step(),
            self.run.epoch()
        );
        // A run that is killed now must not resume with the old learning rate.
        self.save_last(false)?;
        self.finish_saving()
    }

    fn restore_callbacks(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        Ok(self.callbacks.restore(&checkpoint.part(CALLBACKS).unwrap_or_default())?)
    }

    /// Starts a branch at this checkpoint: later checkpoints are left alone, and the best epoch is that of the history so
    /// far.
    fn branch_off(&mut self, from: &CheckpointInfo) -> Result<()> {
        self.checkpointer.fork_from(from)?;
        let best = self.run.best().cloned();
        let best = self.checkpointer.restore_best(best, self.run.monitor(), self.run.history())?;
        self.run.progress_mut().best = best;
        Ok(())
    }

    /// Rejects data, models and settings that differ from those of the run; returns the settings that may differ.
    fn check_changes(&self, saved: &SavedSettings, fit: &FitState, resume: &Resume) -> Result<Changes> {
        let reject = |what: ChangeKind, difference: String| {
            if resume.allow.contains(&what) { Ok(()) } else { Err(Error::Changed { what, difference }) }
        };
        let (old_settings, new_settings) = (&saved.hyperparameters, self.run.hyperparameters());
        let changes = changed_settings(old_settings, new_settings, &resume.policies);
        changes.iter().try_for_each(|change| change.check(&resume.allow))?;
        let (old, new) = (&fit.fingerprints, &self.state.fingerprints);
        if let Some(difference) = first_difference(&old.variables, &new.variables) {
            let cause = changes.iter().find(|it| it.policy == ResumePolicy::Allow(ChangeKind::Model));
            let cause = cause.map_or_else(String::new, |change| format!("{change}, so "));
            return Err(Error::ModelMismatch { difference: cause + &difference });
        }
        for ((what, old), (_, new)) in old.data().into_iter().zip(new.data()) {
            if old != new {
                reject(ChangeKind::Data, format!("the {what} had {old}, now {new}"))?;
            }
        }
        Ok(Changes(changes))
    }

    /// Returns why a finished run cannot be extended, and what would help; `None` if it can.
    fn obstacle(&self, stop_reason: &StopReason, max_epochs_before: usize) -> Option<String> {
        const LONGER: &str = "to extend it, raise its limit of epochs, steps or time";
        if *stop_reason == StopReason::Interrupted {
            return None;
        }
        if self.run.epoch() >= self.run.max_epochs() {
            return Some(LONGER.to_owned());
        }
        if let Some(reason) = self.callbacks.reason_to_stop(&self.run) {
            return Some(format!(
                "it would stop again ({reason}); to extend it, change this rule or disable early stopping"
            ));
        }
        match stop_reason {
            StopReason::Completed
            | StopReason::EarlyStopping { .. }
            | StopReason::Reached { .. }
            | StopReason::Diverged { .. } => None,
            StopReason::Limit { .. } => {
                self.settings.limit_reached(&self.run.timestamp()).map(|_| LONGER.to_owned())
            }
            _ => (self.run.max_epochs() <= max_epochs_before).then(|| LONGER.to_owned()),
        }
    }
}
