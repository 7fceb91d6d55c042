//! The trainer and its public methods.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use faknow_callbacks::{Callback, Callbacks, Phase, RUN_TARGET, Run, RunOwner, StopReason};
use faknow_data::Loader;
use faknow_data::common::panic_message;
use faknow_metrics::Evaluation;
use faknow_model::Model;
use tch::nn::VarStore;

use crate::checkpoint::checkpointer::Checkpointer;
use crate::checkpoint::resume::Resume;
use crate::error::Location;
use crate::fit::buffers::Buffers;
use crate::fit::evaluation::predict;
use crate::fit::limits::{FitData, Limits};
use crate::fit::non_finite::with_tensor_name;
use crate::fit::optimization::Optimization;
use crate::fit::report::{FinalWeights, FitReport};
use crate::fit::settings::Settings;
use crate::fit::state::FitState;
use crate::fit::task::Task;
use crate::system::guard::GradModeGuard;
use crate::{Error, Optimizer, Result, TrainerBuilder};

/// Trains, validates and tests a model.
///
/// `fit` trains on batches, validates after each epoch, saves the best weights and calls the callbacks; see [`Callback`]
/// for the life cycle of a run. With a run directory, progress is saved continuously, and a run that was interrupted at
/// any point continues with [`resume`](Self::resume) as if it had never stopped.
pub struct Trainer<M: Model> {
    /// The run as callbacks see it: counters, history, weights.
    pub(crate) run: RunOwner,
    pub(crate) task: Task<M>,
    pub(crate) optimization: Optimization,
    pub(crate) state: FitState,
    /// The buffers of the model before the current update.
    pub(crate) buffers: Buffers,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) callbacks: Callbacks,
    pub(crate) settings: Settings,
}

impl<M: Model> Trainer<M> {
    /// Creates the builder of a trainer for `model`, whose weights are in `vars`.
    pub fn builder(model: M, vars: VarStore) -> TrainerBuilder<M> {
        TrainerBuilder::new(model, vars)
    }

    /// Trains on `train`, validating on `valid` after each epoch.
    ///
    /// A second fit continues where the first ended, for the same number of epochs, or for the remaining ones if the first
    /// was interrupted: optimizer, history and best epoch are retained, the schedule continues over the total length, and early
    /// stopping starts over. It starts from the current weights, which are those of the best epoch unless
    /// [`restore_best`](crate::TrainerBuilder::restore_best) is off or the first fit was interrupted, and from the state of the
    /// optimizer after its last update.
    ///
    /// # Errors
    /// A setting does not fit the run (detected before the first batch), the run directory holds another run, or a batch,
    /// the model or a callback fails. Results from before an error stay in the trainer and in the run directory.
    pub fn fit(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<FitReport> {
        let is_resumed =
            self.settings.auto_resume && !self.state.is_started && self.checkpointer.is_reopened();
        self.run_fit(train, valid, is_resumed.then(Resume::default).as_ref())
    }

    /// Resumes the run in the run directory from its last checkpoint, as if it had never been interrupted; starts it
    /// if it was killed before the first checkpoint. The run directory comes from [`RunDir::open`](crate::RunDir::open).
    ///
    /// On the CPU, with the same number of threads, the run ends with bitwise identical weights, metrics and logs.
    /// A finished run continues if its limit of epochs (or steps, or time) was raised; otherwise its results are returned
    /// again.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); the checkpoint is corrupted ([`Error::Checkpoint`](crate::Error::Checkpoint)), or data, model
    /// or config differ from those of the run ([`Error::Changed`](crate::Error::Changed)).
    pub fn resume(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<FitReport> {
        self.resume_from(&Resume::default(), train, valid)
    }

    /// Resumes like [`resume`](Self::resume), but from another checkpoint, or with deliberate changes.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub fn resume_from(
        &mut self,
        resume: &Resume,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<FitReport> {
        self.run_fit(train, valid, Some(resume))
    }

    /// Evaluates the current weights on labeled data and notifies the callbacks, which log the result.
    ///
    /// # Errors
    /// The loader is empty, a batch has no labels, a batch, the model or a callback fails, or the [`Interrupt`](crate::Interrupt) is requested
    /// during the test ([`Error::Interrupted`](crate::Error::Interrupted)).
    pub fn test(&mut self, loader: &dyn Loader<M::Batch>) -> Result<Evaluation> {
        let _grad_mode = GradModeGuard::new();
        let _span = self.run.span().entered();
        let _guard = self.settings.interrupt.install();
        self.callbacks.on_evaluation_start(&mut self.run, Phase::Test)?;
        let limits = Limits { overfit: false, ..self.settings.limits };
        let mut evaluation = self.evaluate(&limits.apply(loader), Phase::Test, true)?;
        // There is nothing to stop after a test.
        match self.callbacks.on_evaluation_end(&mut self.run, Phase::Test, &mut evaluation) {
            Ok(_) => Ok(evaluation),
            Err(error) => {
                self.state.unreported_test = Some(evaluation);
                Err(error.into())
            }
        }
    }

    /// Returns the report of a fit that has ended, but returned the error of a callback that was notified of its end, for
    /// example because a log could not be written to a full disk.
    pub fn take_unreported_fit(&mut self) -> Option<FitReport> {
        self.state.unreported_fit.take()
    }

    /// Returns the result of a test that returned the error of a callback that was notified of its end.
    pub fn take_unreported_test(&mut self) -> Option<Evaluation> {
        self.state.unreported_test.take()
    }

    /// Returns the class scores of each sample, in the loader's order; labels are not needed.
    ///
    /// # Errors
    /// A batch or the model fails.
    pub fn predict(&self, loader: &dyn Loader<M::Batch>) -> Result<Vec<Vec<f64>>> {
        predict(&self.task.model, loader, self.task.device)
    }

    /// Returns the model.
    pub fn model(&self) -> &M {
        &self.task.model
    }

    /// Returns the state of the run: history, best epoch, weights.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Returns the first callback of type `C`, for reading its results after a fit.
    pub fn callback<C: Callback>(&self) -> Option<&C> {
        self.callbacks.get()
    }

    /// Returns the optimizer, with its groups and state.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimization.optimizer
    }

    /// Splits the trainer into model and weights.
    pub fn into_parts(self) -> (M, VarStore) {
        (self.task.model, self.run.into_vars())
    }

    fn run_fit(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
        resume: Option<&Resume>,
    ) -> Result<FitReport> {
        let start = Instant::now();
        let _grad_mode = GradModeGuard::new();
        let _span = self.run.span().entered();
        let _guard = self.settings.interrupt.install();
        let data = FitData::new(self.settings.limits, train, valid);
        let result = catch_unwind(AssertUnwindSafe(|| self.fit_from(resume, &data, start)));
        let result = result.unwrap_or_else(|panic| {
            self.checkpointer.finish_after_panic();
            let location = Location::training(self.run.epoch(), self.run.batch());
            Err(Error::Panic { location, message: panic_message(&*panic) })
        });
        let result = result.map_err(|error| with_tensor_name(error, &self.run.vars));
        if let (Ok((StopReason::Interrupted, _)), Some(signal)) = (&result, self.settings.interrupt.signal())
        {
            tracing::info!("stopped by {signal}");
        }
        let end = result.as_ref().map(|(reason, _)| reason).map_err(|error| error as &dyn std::error::Error);
        let notified = self.callbacks.on_fit_end(&mut self.run, end);
        let report = result.map(|(reason, weights)| self.report(reason, weights, start))?;
        match notified {
            Ok(()) => Ok(report),
            Err(error) => {
                self.state.unreported_fit = Some(report);
                Err(error.into())
            }
        }
    }

    /// Starts or resumes the run, trains, and leaves the final weights in the model.
    fn fit_from(
        &mut self,
        resume: Option<&Resume>,
        data: &FitData<'_, M::Batch>,
        now: Instant,
    ) -> Result<(StopReason, FinalWeights)> {
        let earlier_stop = match resume {
            None => self.start(data).map(|()| None)?,
            Some(resume) => self.resume_run(resume, data)?,
        };
        self.state.start_clock(now, self.run.seconds());
        let stop_reason = match earlier_stop {
            Some(reason) => reason,
            None => self.run_and_save(data).inspect_err(|_| self.save_after_error())?,
        };
        self.state.stop_reason = Some(stop_reason.clone());
        let weights = self.finish_weights(&stop_reason)?;
        Ok((stop_reason, weights))
    }

    /// Trains until the run ends and all of its checkpoints are on disk.
    fn run_and_save(&mut self, data: &FitData<'_, M::Batch>) -> Result<StopReason> {
        self.warn_about_settings_without_effect(data);
        let stop_reason = self.run_epochs(data)?;
        self.finish_saving()?;
        Ok(stop_reason)
    }

    /// Restores the best weights or applies the weight average, depending on the settings.
    fn finish_weights(&mut self, stop_reason: &StopReason) -> Result<FinalWeights> {
        if *stop_reason == StopReason::Interrupted {
            return Ok(FinalWeights::Last);
        }
        self.warn_about_undefined_monitor();
        let restores_best = self.settings.restore_best && self.run.best().is_some();
        if restores_best && self.checkpointer.restore_best_weights(&self.run.vars)? {
            return Ok(FinalWeights::Best);
        }
        match &self.optimization.average {
            Some(average) => average.apply().map(|()| FinalWeights::Average),
            None => Ok(FinalWeights::Last),
        }
    }

    fn report(&self, stop_reason: StopReason, weights: FinalWeights, start: Instant) -> FitReport {
        let profile = self.state.profile;
        tracing::info!(target: RUN_TARGET, "time by phase:\n{profile}");
        FitReport {
            stop_reason,
            best: self.run.best().cloned(),
            weights,
            history: self.run.history().clone(),
            run_dir: self.run.dir().map(Path::to_path_buf),
            seconds: start.elapsed().as_secs_f64(),
            profile,
        }
    }
}

impl<M: Model> std::fmt::Debug for Trainer<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("run", &self.run)
            .field("optimizer", &self.optimization.optimizer)
            .field("metrics", &self.task.metrics.names())
            .field("callbacks", &self.callbacks)
            .field("settings", &self.settings)
            .field("device", &self.task.device)
            .finish_non_exhaustive()
    }
}
