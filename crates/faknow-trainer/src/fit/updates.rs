//! Updates of the weights, each from a window of batches, and the actions that are due after an update.

use std::time::Instant;

use faknow_callbacks::{BatchEnd, Flow, Interval, Timestamp};
use faknow_data::Batch;
use faknow_model::{Loss, Model};
use tch::{Tensor, no_grad, with_grad};

use crate::error::{Location, setting};
use crate::fit::limits::FitData;
use crate::fit::non_finite::MAX_SKIPS;
use crate::fit::seeds::with_seed;
use crate::optim::AccumulationWindow;
use crate::schedule::Unit;
use crate::step::StepContext;
use crate::step::shapes::{check_batch, check_step_output};
use crate::system::guard::guard;
use crate::{Error, LossSums, NonFinitePolicy, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Trains on a window of batches; returns the flow that the callbacks request, or `None` if the run was rolled back.
    ///
    /// The inner result is an error of a callback: the update is done and counted before it.
    pub(crate) fn train_window(&mut self, window: Vec<(Location, M::Batch)>) -> Result<Option<Result<Flow>>> {
        if self.run.step() == 0 {
            tracing::debug!("the first batch is loaded");
        }
        let before = self.run.timestamp();
        let n_batches = window.len();
        match self.update(window) {
            Ok(update) => self.commit(update, &before).map(Some),
            Err(error) => self.handle_step_error(error, n_batches),
        }
    }

    /// Computes the gradients of a window of batches and updates the weights once.
    fn update(&mut self, window: Vec<(Location, M::Batch)>) -> Result<Update> {
        self.notify(|callbacks, run| Ok(callbacks.on_batch_start(run)?))?;
        // After the callbacks, so that the learning rates they set apply to this update.
        self.optimization.set_learning_rates(&self.run.learning_rates)?;
        self.state.is_consistent = false;
        self.buffers.save()?;
        let is_synchronous = self.settings.is_synchronous(self.task.device);
        match self.update_once(window, self.run.step(), is_synchronous) {
            Ok(update) => {
                self.check_trained_variables()?;
                if let Some(is_finite) = self.optimization.optimizer.deferred_flag() {
                    self.buffers.restore_unless(is_finite)?;
                }
                Ok(update)
            }
            Err(error) => {
                self.buffers.restore()?;
                Err(error)
            }
        }
    }

    /// Returns an error if the first update changed nothing because the loss depends on no variable of the store.
    fn check_trained_variables(&self) -> Result<()> {
        let optimizer = &self.optimization.optimizer;
        if self.run.step() > 0 || !optimizer.has_updated() || optimizer.grad_norm().is_some() {
            return Ok(());
        }
        let n = optimizer.parameters().count();
        let got =
            format!("{n} variables that the loss does not depend on; build the model in this `VarStore`");
        Err(setting("vars", "the variables of the model", got))
    }

    /// Counts an update, averages the weights, notifies the callbacks (with the learning rates of this step), and steps
    /// the schedule.
    fn commit(&mut self, update: Update, before: &Timestamp) -> Result<Result<Flow>> {
        let grad_norm = self.optimization.optimizer.grad_norm();
        for (loss, n) in &update.losses {
            self.state.epoch.sums.add(loss, *n)?;
        }
        for (logits, labels) in &update.predictions {
            self.state.epoch.counts.add(logits, labels)?;
        }
        for (name, value, n) in &update.logged_values {
            self.run.log_batch(name, *value, *n)?;
        }
        if let Some(norm) = grad_norm {
            self.state.epoch.norms.add(norm)?;
        }
        self.state.epoch.learning_rates = self.optimization.optimizer.learning_rates().to_vec();
        self.state.n_skips = 0;
        let seconds = self.state.run_seconds();
        let progress = self.run.progress_mut();
        progress.batch += update.losses.len();
        progress.step += 1;
        progress.samples += update.n_samples as u64;
        progress.seconds = seconds;
        let end = update.end(grad_norm)?;
        if let Some(average) = &mut self.optimization.average {
            average.update(before, &self.run.timestamp())?;
        }
        let flow = self.notify(|callbacks, run| Ok(callbacks.on_batch_end(run, &end)?));
        self.step_schedule(Unit::Step, None)?;
        self.state.is_consistent = true;
        Ok(flow)
    }

    /// Performs the actions that are due after an update: validation within the epoch, the end of the run, a checkpoint.
    pub(crate) fn after_update(&mut self, flow: Result<Flow>, data: &FitData<'_, M::Batch>) -> Result<()> {
        if let Flow::Stop(reason) = flow? {
            self.state.pending_stop = Some(reason);
        }
        self.check_saving()?;
        let now = self.run.timestamp();
        if self.state.pending_stop.is_none() {
            self.state.pending_stop = self.settings.limit_reached(&now);
        }
        if self.run.batch() >= self.run.n_batches() || self.state.pending_stop.is_some() {
            return Ok(());
        }
        let is_due = |every: Interval| every.is_due(&self.state.validated_at, &now);
        let is_retained = match data.valid().filter(|_| self.settings.validate_every.is_some_and(is_due)) {
            Some(valid) => self.validate_mid_epoch(data.train(), valid)?,
            None => false,
        };
        // An interrupted run may have skipped the validation.
        let is_interrupted = self.settings.interrupt.is_requested();
        if is_retained || (!is_interrupted && self.checkpointer.is_due(&self.state.saved_at, &now)) {
            match self.update_average_statistics(data.train(), true) {
                // The loop checks the request too, and saves.
                Err(Error::Interrupted) => return Ok(()),
                result => result?,
            }
            self.save_last(is_retained)?;
        }
        Ok(())
    }

    /// Skips a failed update or rolls the run back (`None`), depending on the policy; otherwise returns the error.
    fn handle_step_error(&mut self, error: Error, n_batches: usize) -> Result<Option<Result<Flow>>> {
        // Neither a step without an update nor the callbacks before it have changed the run.
        self.state.is_consistent |=
            !self.optimization.optimizer.has_updated() && self.task.step.is_unchanged()?;
        let is_non_finite = matches!(error, Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. });
        match self.settings.on_non_finite {
            NonFinitePolicy::Skip
                if is_non_finite && self.state.is_consistent && self.state.n_skips < MAX_SKIPS =>
            {
                self.state.n_skips += 1;
                self.run.progress_mut().skipped += 1;
                self.run.progress_mut().batch += n_batches;
                tracing::warn!("{error}; the update is skipped ({} in total)", self.run.skipped());
                self.optimization.optimizer.zero_grad();
                Ok(Some(Ok(Flow::Continue)))
            }
            NonFinitePolicy::RollBack if is_non_finite => self.roll_back(error).map(|()| None),
            _ => Err(error),
        }
    }

    /// Computes the gradients of a window of batches and updates the weights once, with the random seed of step `step`.
    pub(crate) fn update_once(
        &mut self,
        window: Vec<(Location, M::Batch)>,
        step: u64,
        is_synchronous: bool,
    ) -> Result<Update> {
        let batches: Vec<&M::Batch> = window.iter().map(|(_, batch)| batch).collect();
        if let Some((location, _)) = window.first() {
            guard(*location, || self.task.step.start_window(&batches))?;
        }
        self.optimization.optimizer.set_deferred(!is_synchronous);
        let n_batches = window.len();
        let n_samples: usize = window.iter().map(|(_, batch)| batch.n_samples()).sum();
        let mut update = Update { losses: Vec::with_capacity(n_batches), n_samples, ..Update::default() };
        with_seed(self.settings.seed, step, || {
            for (number, (location, batch)) in window.into_iter().enumerate() {
                let n = batch.n_samples();
                let weight = if n_batches == 1 { 1.0 } else { n as f64 / n_samples as f64 };
                let last = number + 1 == n_batches;
                self.optimization.optimizer.set_window(AccumulationWindow {
                    weight,
                    is_first: number == 0,
                    is_last: last,
                });
                let context = StepContext {
                    location,
                    step,
                    position: number,
                    seed: self.settings.seed,
                    is_synchronous,
                };
                // Gradients are enabled even if an earlier panic inside `no_grad` left them disabled.
                let (output, labels) = guard(location, || {
                    with_grad(|| {
                        check_batch(&batch)?;
                        let start = Instant::now();
                        let batch = batch.to_device(self.task.device);
                        self.state.profile.transfer += start.elapsed().as_secs_f64();
                        let start = Instant::now();
                        let optimizer = &mut self.optimization.optimizer;
                        let output = self.task.step.step(&mut self.task.model, &batch, optimizer, context);
                        let (backward, optimizer) = self.optimization.optimizer.take_times();
                        self.state.profile.add_step(start.elapsed(), backward, optimizer);
                        let output = output?;
                        check_step_output(&output, n)?;
                        no_grad(|| self.task.model.after_step(&batch))?;
                        Ok((output, batch.labels().map(Tensor::shallow_clone)))
                    })
                })?;
                update.losses.push((detached(&output.loss), n));
                if let (Some(logits), Some(labels), false) =
                    (&output.logits, labels, self.task.train_metrics.is_empty())
                {
                    update.predictions.push((logits.shallow_clone(), labels));
                }
                update
                    .logged_values
                    .extend(output.logged_values.into_iter().map(|(name, value)| (name, value, n)));
            }
            Ok(update)
        })
    }
}

/// The results of the batches of an update.
#[derive(Default)]
pub(crate) struct Update {
    /// Loss and number of samples of each batch.
    pub(crate) losses: Vec<(Loss, usize)>,
    pub(crate) n_samples: usize,
    /// Logits and labels of each batch whose step returns logits, for the metrics of the training pass.
    predictions: Vec<(Tensor, Tensor)>,
    /// Values that the steps logged, each with the number of samples of its batch.
    logged_values: Vec<(String, f64, usize)>,
}

impl Update {
    /// Returns the event for the callbacks, with the losses as means over all samples.
    pub(crate) fn end(mut self, grad_norm: Option<&Tensor>) -> Result<BatchEnd> {
        let grad_norm = grad_norm.map(Tensor::shallow_clone);
        let n_samples = self.n_samples;
        if self.losses.len() == 1
            && let Some((loss, _)) = self.losses.pop()
        {
            return Ok(BatchEnd { n_samples, loss: loss.total, parts: loss.parts, grad_norm });
        }
        let mut sums = LossSums::default();
        for (loss, n) in &self.losses {
            sums.add(loss, *n)?;
        }
        let parts = self.losses.iter().flat_map(|(loss, _)| &loss.parts).map(|(name, _)| *name);
        let (loss, parts) = sums.tensors(parts)?;
        Ok(BatchEnd { n_samples, loss, parts, grad_norm })
    }
}

/// Returns a loss that is detached from the graph.
fn detached(loss: &Loss) -> Loss {
    no_grad(|| Loss {
        total: loss.total.detach(),
        parts: loss.parts.iter().map(|(name, part)| (*name, part.detach())).collect(),
    })
}
