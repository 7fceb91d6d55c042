//! The trainer: its parts, and the methods that users call.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Instant;

use faknow_callbacks::{Callback, Callbacks, Phase, RUN_TARGET, Run, RunOwner, StopReason};
use faknow_data::Loader;
use faknow_metrics::Evaluation;
use faknow_model::Model;
use tch::nn::VarStore;

use crate::checkpoint::checkpointer::Checkpointer;
use crate::checkpoint::resume::Resume;
use crate::fit::evaluation::predict;
use crate::fit::limits::{FitData, Limits};
use crate::fit::non_finite::with_tensor_name;
use crate::fit::optimization::Optimization;
use crate::fit::report::{FinalWeights, FitReport};
use crate::fit::settings::Settings;
use crate::fit::state::FitState;
use crate::fit::task::Task;
use crate::system::guard::GradientMode;
use crate::{Optimizer, Result, TrainerBuilder};

/// Trains, validates and tests a model.
///
/// `fit` takes data in batches into the model, validates after each epoch, keeps the best weights and calls the
/// callbacks; see [`Callback`] for the life of a run. With a run directory everything is saved as it goes, and a run
/// that was interrupted anywhere continues with [`resume`](Self::resume) as if it had not been.
pub struct Trainer<M: Model> {
    /// What callbacks see of the run: counters, history, weights.
    pub(crate) run: RunOwner,
    pub(crate) task: Task<M>,
    pub(crate) optimization: Optimization,
    pub(crate) state: FitState,
    pub(crate) checkpointer: Checkpointer,
    pub(crate) callbacks: Callbacks,
    pub(crate) settings: Settings,
}

impl<M: Model> Trainer<M> {
    /// Starts the builder of a trainer of `model`, whose weights are in `vars`.
    pub fn builder(model: M, vars: VarStore) -> TrainerBuilder<M> {
        TrainerBuilder::new(model, vars)
    }

    /// Trains on `train`, validating on `valid` after each epoch.
    ///
    /// A second fit continues where the first ended, for as many epochs again, or for those that an interrupted one has left:
    /// optimizer, schedule, history and best epoch stay; early stopping starts over. It starts from the weights that the
    /// model has, which are those of the best epoch unless [`restore_best`](crate::TrainerBuilder::restore_best) is off.
    ///
    /// # Errors
    /// A setting does not fit the run (found before the first batch), the run directory holds another run, or a batch,
    /// the model or a callback fails. What was computed before an error stays, in the trainer and in the run directory.
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
    /// On the CPU, with the same number of threads, the run ends with the same weights, metrics and logs to the bit.
    /// A run that has ended continues if it may take more epochs (or steps, or time) than before; else its results are
    /// returned again.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); the checkpoint is corrupted ([`Error::Checkpoint`](crate::Error::Checkpoint)), or data, model or
    /// config are not those of the run ([`Error::Changed`](crate::Error::Changed)).
    pub fn resume(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<FitReport> {
        self.resume_from(&Resume::default(), train, valid)
    }

    /// [`resume`](Self::resume) from another checkpoint, or with something changed on purpose.
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

    /// Evaluates the current weights on labeled data, and calls the callbacks so that the result is logged.
    ///
    /// # Errors
    /// The loader is empty, a batch has no labels, or a batch, the model or a callback fails.
    pub fn test(&mut self, loader: &dyn Loader<M::Batch>) -> Result<Evaluation> {
        let _mode = GradientMode::keep();
        let _inside = self.run.span().entered();
        self.callbacks.on_evaluation_start(&mut self.run, Phase::Test)?;
        let limits = Limits { overfit: false, ..self.settings.limits };
        let mut evaluation = self.evaluate(&limits.apply(loader), Phase::Test)?;
        // A test has nothing left to stop.
        let _ = self.callbacks.on_evaluation_end(&mut self.run, Phase::Test, &mut evaluation)?;
        Ok(evaluation)
    }

    /// Class scores of each sample, in the loader's order; labels are not needed.
    ///
    /// # Errors
    /// A batch or the model fails.
    pub fn predict(&self, loader: &dyn Loader<M::Batch>) -> Result<Vec<Vec<f64>>> {
        predict(&self.task.model, loader, self.task.device)
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.task.model
    }

    /// The state of the run: history, best epoch, weights.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Returns the first callback of type `C`, to read after a fit what it found.
    pub fn callback<C: Callback>(&self) -> Option<&C> {
        self.callbacks.get()
    }

    /// The optimizer: its groups, its state.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimization.optimizer
    }

    /// Takes the trainer apart into model and weights.
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
        let _mode = GradientMode::keep();
        let _inside = self.run.span().entered();
        let _guard = self.settings.interrupt.install();
        let data = FitData::new(self.settings.limits, train, valid);
        let result = catch_unwind(AssertUnwindSafe(|| self.fit_from(resume, &data, start)));
        let result = result.unwrap_or_else(|panic| {
            self.checkpointer.finish_after_panic();
            resume_unwind(panic)
        });
        let result = result.map_err(|error| with_tensor_name(error, &self.run.vars));
        let ended = result.as_ref().map(|(ended, _)| ended);
        self.callbacks.on_fit_end(&mut self.run, ended.map_err(|error| error as &dyn std::error::Error))?;
        result.map(|(ended, weights)| self.report(ended, weights, start))
    }

    /// Starts or resumes the run, trains, and puts the weights into the model that it ends with.
    fn fit_from(
        &mut self,
        resume: Option<&Resume>,
        data: &FitData<'_, M::Batch>,
        now: Instant,
    ) -> Result<(StopReason, FinalWeights)> {
        let ended = match resume {
            None => self.start(data).map(|()| None)?,
            Some(resume) => self.resume_run(resume, data)?,
        };
        self.state.start_clock(now, self.run.seconds());
        let ended = match ended {
            Some(ended) => ended,
            None => self.run_and_save(data).inspect_err(|_| self.save_after_error())?,
        };
        self.state.ended = Some(ended.clone());
        let weights = self.finish_weights(&ended)?;
        Ok((ended, weights))
    }

    /// Trains until the run ends and all of its checkpoints are on the disk.
    fn run_and_save(&mut self, data: &FitData<'_, M::Batch>) -> Result<StopReason> {
        let ended = self.run_epochs(data)?;
        self.finish_saving()?;
        Ok(ended)
    }

    /// Puts the best weights, or their average, into the model, if the settings ask for them.
    fn finish_weights(&mut self, ended: &StopReason) -> Result<FinalWeights> {
        if *ended == StopReason::Interrupted {
            return Ok(FinalWeights::Last);
        }
        let restores_best = self.settings.restore_best && self.run.best().is_some();
        if restores_best && self.checkpointer.restore_best_weights(&self.run.vars)? {
            return Ok(FinalWeights::Best);
        }
        match &self.optimization.average {
            Some(average) => average.apply().map(|()| FinalWeights::Average),
            None => Ok(FinalWeights::Last),
        }
    }

    fn report(&self, ended: StopReason, weights: FinalWeights, start: Instant) -> FitReport {
        let profile = self.state.profile;
        tracing::info!(target: RUN_TARGET, "time by phase:\n{profile}");
        FitReport {
            stop_reason: ended,
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
