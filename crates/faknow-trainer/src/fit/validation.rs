//! Validation at the end of an epoch or within it, and the record of an epoch.

use std::time::Instant;

use faknow_callbacks::{Callbacks, Flow, Phase, Run};
use faknow_data::Loader;
use faknow_metrics::{EpochRecord, Evaluation, Score};
use faknow_model::Model;

use crate::error::Location;
use crate::fit::evaluation::evaluate_at;
use crate::fit::non_finite::with_tensor_name;
use crate::schedule::Unit;
use crate::step::non_finite;
use crate::{Error, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Validates between two updates of an epoch; returns whether its checkpoint is to be retained.
    pub(crate) fn validate_mid_epoch(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: &dyn Loader<M::Batch>,
    ) -> Result<bool> {
        self.check_finite()?;
        let mut record = self.record()?;
        let result = self.update_average_statistics(train, true);
        let mut evaluation = match result.and_then(|()| self.validate(valid, &mut record, true)) {
            // The update before the validation is complete; the loop checks the request too.
            Err(Error::Interrupted) => return Ok(false),
            result => result?,
        };
        self.run.progress_mut().history.mid_epoch.push(record.clone());
        let is_retained = self.rank(&record, true)?;
        self.step_schedule(Unit::Validation, Some(&record))?;
        if let Flow::Stop(reason) = self.notify_validation_end(&mut evaluation)? {
            self.state.pending_stop = Some(reason);
        }
        Ok(is_retained || self.rank_logged(&record, true)?)
    }

    /// Validates the last epoch after a callback has stopped the run; returns whether its checkpoint is to be retained.
    pub(crate) fn validate_last_epoch(&mut self, valid: &dyn Loader<M::Batch>) -> Result<bool> {
        let Some(mut record) = self.run.history().last().cloned() else { return Ok(false) };
        let is_ranked = self.run.monitor().is_some_and(|monitor| monitor.is_due(&record));
        // The run ends here, so it is not interrupted.
        let mut evaluation = self.validate(valid, &mut record, false)?;
        if let Some(last) = self.run.progress_mut().history.epochs.last_mut() {
            *last = record.clone();
        }
        let is_retained = !is_ranked && self.rank(&record, false)?;
        self.step_schedule(Unit::Validation, Some(&record))?;
        // A reason to stop is known already.
        let _ = self.notify_validation_end(&mut evaluation)?;
        Ok(is_retained || (!is_ranked && self.rank_logged(&record, false)?))
    }

    /// Validates the weights or their average, and adds the scores to `record`.
    pub(crate) fn validate(
        &mut self,
        valid: &dyn Loader<M::Batch>,
        record: &mut EpochRecord,
        is_interruptible: bool,
    ) -> Result<Evaluation> {
        let start = Instant::now();
        self.callbacks.on_evaluation_start(&mut self.run, Phase::Valid)?;
        self.swap_average()?;
        let evaluation = self.evaluate(valid, Phase::Valid, is_interruptible);
        // Swapped even after an error: training continues with the weights themselves.
        self.swap_average()?;
        let evaluation = evaluation?;
        self.state.profile.validation += start.elapsed().as_secs_f64();
        record.valid_seconds = evaluation.seconds;
        record.valid = Some(evaluation.scores.clone());
        self.state.validated_at = self.run.timestamp();
        Ok(evaluation)
    }

    pub(crate) fn evaluate(
        &mut self,
        loader: &dyn Loader<M::Batch>,
        phase: Phase,
        is_interruptible: bool,
    ) -> Result<Evaluation> {
        let Self { task, run, callbacks, settings, .. } = self;
        let epoch = if phase == Phase::Valid { run.epoch() } else { 0 };
        let metrics = &task.metrics;
        // After an interrupted fit, a test is still possible.
        let is_checked = is_interruptible && (phase == Phase::Valid || !settings.interrupt.is_requested());
        let evaluation = evaluate_at((phase, epoch), &task.model, loader, metrics, task.device, |progress| {
            callbacks.on_evaluation_batch_end(run, phase, progress)?;
            if is_checked { settings.interrupt.check() } else { Ok(()) }
        });
        evaluation.map_err(|error| with_tensor_name(error, &run.vars))
    }

    /// Notifies the callbacks of a validation that is in the history.
    pub(crate) fn notify_validation_end(&mut self, evaluation: &mut Evaluation) -> Result<Flow> {
        self.notify(|callbacks, run| Ok(callbacks.on_evaluation_end(run, Phase::Valid, evaluation)?))
    }

    /// Returns whether a validation is due after an epoch that is not the last.
    pub(crate) fn validates_after_epoch(&self) -> bool {
        let now = self.run.timestamp();
        self.settings.validate_every.is_none_or(|every| every.is_due(&self.state.validated_at, &now))
    }

    /// Returns the record of the epoch so far. Losses on a device are read only here.
    pub(crate) fn record(&self) -> Result<EpochRecord> {
        let epoch = &self.state.epoch;
        let mut train = epoch.sums.means()?;
        train.extend(epoch.counts.scores(&self.task.train_metrics)?);
        self.run.progress().logged.write_to(&mut train);
        let location = Location::training(self.run.epoch(), self.run.batch());
        if epoch.sums.is_empty() && self.state.n_skips > 0 {
            train.insert("loss", Score::undefined("every update of the epoch was skipped"));
        }
        match train.value("loss") {
            Some(loss) if loss.is_finite() => {}
            None if train.get("loss").is_some() => {}
            loss => {
                let loss = loss.unwrap_or(f64::NAN);
                return Err(non_finite(location, loss, Vec::new(), &self.optimization.optimizer));
            }
        }
        Ok(EpochRecord {
            epoch: self.run.epoch(),
            step: self.run.step(),
            samples: self.run.samples(),
            train,
            valid: None,
            learning_rates: epoch.learning_rates.clone(),
            grad_norm: epoch.norms.mean()?,
            train_seconds: epoch.seconds,
            valid_seconds: 0.0,
        })
    }

    /// Steps the schedule if this is its unit, and sets the resulting learning rates; `validation` is the latest record.
    pub(crate) fn step_schedule(&mut self, unit: Unit, validation: Option<&EpochRecord>) -> Result<()> {
        self.estimate_length(unit)?;
        let monitored = match (self.run.monitor(), validation) {
            (Some(monitor), Some(record)) => monitor.value(record),
            _ => None,
        };
        if let Some(rates) = self.optimization.learning_rates.step(unit, monitored)? {
            self.run.learning_rates = rates;
        }
        Ok(())
    }

    /// Calls the callbacks and adds their time to the profile.
    pub(crate) fn notify<T>(
        &mut self,
        call: impl FnOnce(&mut Callbacks, &mut Run) -> Result<T>,
    ) -> Result<T> {
        let start = Instant::now();
        let result = call(&mut self.callbacks, &mut self.run);
        self.state.profile.callbacks += start.elapsed().as_secs_f64();
        result
    }
}
