//! The training loop: epochs of training and validation.

use std::time::Instant;

use faknow_callbacks::{Flow, Phase, StopReason};
use faknow_metrics::Evaluation;
use faknow_model::Model;

use crate::error::{Location, phase_name};
use crate::fit::limits::FitData;
use crate::schedule::Unit;
use crate::system::guard::guarded;
use crate::{Error, Result, Trainer};

/// Outcome of the training pass of an epoch.
enum EpochOutcome {
    /// The pass ended with its last batch, or with the batch at which the run stops.
    Completed,
    /// The run was asked to stop; `last` is saved.
    Interrupted,
    /// The run was rolled back to an earlier checkpoint.
    RolledBack,
}

impl<M: Model> Trainer<M> {
    /// Trains epoch after epoch until there is a reason to stop.
    pub(crate) fn run_epochs(&mut self, data: &FitData<'_, M::Batch>) -> Result<StopReason> {
        loop {
            if !self.state.epoch.is_open {
                if let Some(reason) = self.reason_to_stop() {
                    return Ok(reason);
                }
                self.start_epoch()?;
            }
            match self.train_epoch(data)? {
                EpochOutcome::Completed => {}
                EpochOutcome::Interrupted => return Ok(StopReason::Interrupted),
                EpochOutcome::RolledBack => continue,
            }
            if let Some(reason) = self.end_epoch(data)? {
                return Ok(reason);
            }
        }
    }

    /// Returns the reason not to start another epoch, if there is one.
    fn reason_to_stop(&self) -> Option<StopReason> {
        if self.run.epoch() >= self.run.max_epochs() {
            return Some(StopReason::Completed);
        }
        self.settings.limit_reached(&self.run.timestamp())
    }

    fn start_epoch(&mut self) -> Result<()> {
        self.run.progress_mut().epoch += 1;
        self.run.progress_mut().batch = 0;
        let result = self.callbacks.on_epoch_start(&mut self.run);
        if result.is_err() {
            // The epoch did not start: a resumed run calls them again.
            self.run.progress_mut().epoch -= 1;
            self.run.progress_mut().batch = self.run.n_batches();
        }
        result?;
        self.state.start_epoch(&self.run.learning_rates);
        Ok(())
    }

    /// Trains on the remaining batches of an epoch.
    fn train_epoch(&mut self, data: &FitData<'_, M::Batch>) -> Result<EpochOutcome> {
        let (epoch, n_done) = (self.run.epoch(), self.run.batch());
        if n_done > 0 {
            // The run may have been killed before it completed the work that was due here.
            self.after_update(Ok(Flow::Continue), data)?;
        }
        if self.state.pending_stop.is_some() {
            return Ok(EpochOutcome::Completed);
        }
        let location_of = move |batch| Location::training(epoch, batch);
        let mut batches = guarded(n_done + 1, location_of, || data.train().batches(epoch - 1, n_done))?;
        loop {
            let start = Instant::now();
            let n = self.settings.accumulate_grad_batches;
            let window = batches.by_ref().take(n).collect::<Result<Vec<_>>>()?;
            if window.is_empty() {
                break;
            }
            self.state.profile.data += start.elapsed().as_secs_f64();
            let Some(flow) = self.train_window(window)? else { return Ok(EpochOutcome::RolledBack) };
            self.state.epoch.seconds += start.elapsed().as_secs_f64();
            self.after_update(flow, data)?;
            if self.settings.interrupt.is_requested() {
                self.save_on_interrupt()?;
                return Ok(EpochOutcome::Interrupted);
            }
            if self.state.pending_stop.is_some() {
                break;
            }
        }
        if self.run.batch() == 0 {
            let hint = "it announced batches but yielded none";
            return Err(Error::EmptyLoader { phase: phase_name(Phase::Train), hint });
        }
        Ok(EpochOutcome::Completed)
    }

    /// Ends an epoch: validates if due, records, ranks, steps the schedule, notifies the callbacks, saves. Returns the
    /// reason if the run stops.
    fn end_epoch(&mut self, data: &FitData<'_, M::Batch>) -> Result<Option<StopReason>> {
        self.check_finite()?;
        let is_last = self.state.pending_stop.is_some() || self.run.epoch() >= self.run.max_epochs();
        let mut record = self.record()?;
        let valid = data.valid().filter(|_| is_last || self.validates_after_epoch());
        let result = match self.update_average_statistics(data.train(), valid.is_some() || is_last) {
            Ok(()) => valid.map(|valid| self.validate(valid, &mut record, true)).transpose(),
            Err(error) => Err(error),
        };
        let evaluation = match result {
            Err(Error::Interrupted) => {
                self.save_on_interrupt()?;
                return Ok(Some(StopReason::Interrupted));
            }
            result => result?,
        };
        self.run.progress_mut().history.epochs.push(record.clone());
        self.run.progress_mut().logged.clear();
        let is_retained = self.rank(&record, false)?;
        self.step_schedule(Unit::Epoch, None)?;
        if evaluation.is_some() {
            self.step_schedule(Unit::Validation, Some(&record))?;
        }
        self.state.epoch.is_open = false;
        let (result, is_retained_after) = self.notify_epoch_end(evaluation, data);
        let is_retained = is_retained || is_retained_after;
        let is_retained = is_retained || (result.is_ok() && self.rank_logged(&record, false)?);
        if self.state.pending_stop.is_none() && self.run.epoch() >= self.run.max_epochs() {
            self.state.pending_stop = Some(StopReason::Completed);
        }
        self.state.stop_reason = self.state.pending_stop.take();
        let is_ended = self.state.stop_reason.is_some();
        let is_interrupted = !is_ended && self.settings.interrupt.is_requested();
        let is_due = self.checkpointer.is_due(&self.state.saved_at, &self.run.timestamp());
        if is_due || is_retained || is_interrupted || is_ended {
            self.save_last(is_retained)?;
        }
        result?;
        Ok(if is_interrupted { Some(StopReason::Interrupted) } else { self.state.stop_reason.clone() })
    }

    /// Notifies all callbacks of a recorded epoch, even if one of them stops the run or fails; if one stops the run after an
    /// epoch that was not validated, validates it. Returns the first error, and whether the validation is to be retained.
    fn notify_epoch_end(
        &mut self,
        evaluation: Option<Evaluation>,
        data: &FitData<'_, M::Batch>,
    ) -> (Result<()>, bool) {
        let mut first_error = None;
        let is_validated = evaluation.is_some();
        if let Some(mut evaluation) = evaluation {
            let flow = self.notify_validation_end(&mut evaluation);
            self.collect(flow, &mut first_error);
        }
        let flow = self.notify(|callbacks, run| Ok(callbacks.on_epoch_end_before_logs(run)?));
        self.collect(flow, &mut first_error);
        let mut is_retained = false;
        if let (Some(valid), false, None, Some(_)) =
            (data.valid(), is_validated, &first_error, &self.state.pending_stop)
        {
            match self.validate_last_epoch(valid) {
                Ok(retained) => is_retained = retained,
                Err(error) => first_error = Some(error),
            }
        }
        let flow = self.notify(|callbacks, run| Ok(callbacks.on_epoch_end_of_logs(run)?));
        self.collect(flow, &mut first_error);
        (first_error.map_or(Ok(()), Err), is_retained)
    }

    /// Retains the first reason to stop and the first error.
    fn collect(&mut self, flow: Result<Flow>, first_error: &mut Option<Error>) {
        match flow {
            Ok(Flow::Continue) => {}
            Ok(Flow::Stop(reason)) => drop(self.state.pending_stop.get_or_insert(reason)),
            Err(error) => drop(first_error.get_or_insert(error)),
        }
    }
}
