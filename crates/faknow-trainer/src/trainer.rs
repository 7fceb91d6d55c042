//! The trainer: what it is made of, and what its users call.

use std::time::Instant;

use faknow_callbacks::{BestTracker, Callback, Callbacks, Phase, Run, RunOwner};
use faknow_data::Loader;
use faknow_metrics::{Evaluation, Metrics};
use faknow_model::Model;
use tch::Device;
use tch::nn::VarStore;

use crate::checkpoint::CheckpointStore;
use crate::checkpoint::best_weights::BestWeights;
use crate::checkpoint::resume::{Fingerprints, Resume};
use crate::checkpoint::snapshot::Kept;
use crate::fit::averages::WeightAverage;
use crate::fit::epoch_state::EpochState;
use crate::fit::evaluation::{evaluate_at, predict};
use crate::fit::guard::GradientMode;
use crate::fit::limits::Limits;
use crate::fit::non_finite::with_tensor_name;
use crate::fit::settings::Settings;
use crate::schedule::{BuildSchedule, Schedule};
use crate::{Error, FitReport, Optimizer, Profile, Result, RunDir, TrainStep, TrainerBuilder};

/// Trains, validates and tests a model.
///
/// `fit` takes data in batches into the model, validates after each epoch, keeps the best weights and tells the
/// callbacks; see [`Callback`] for the life of a run. With a run folder everything is saved as it goes, and a run
/// that was cut off anywhere goes on with [`resume`](Self::resume) as if it had not been.
pub struct Trainer<M: Model> {
    pub(crate) model: M,
    pub(crate) run: RunOwner,
    pub(crate) optimizer: Optimizer,
    pub(crate) build_schedule: Option<Box<dyn BuildSchedule>>,
    pub(crate) schedule: Option<Box<dyn Schedule>>,
    pub(crate) step: Box<dyn TrainStep<M>>,
    pub(crate) metrics: Metrics,
    pub(crate) callbacks: Callbacks,
    pub(crate) settings: Settings,
    pub(crate) device: Device,
    pub(crate) store: Option<CheckpointStore>,
    pub(crate) average: Option<WeightAverage>,
    pub(crate) best: BestWeights,
    pub(crate) best_tracker: Option<BestTracker>,
    /// Where the loop stands inside the present epoch.
    pub(crate) at: EpochState,
    pub(crate) kept: Kept,
    pub(crate) fingerprints: Fingerprints,
    pub(crate) profile: Profile,
    /// Factor on every learning rate, below 1 after a roll-back.
    pub(crate) rate_factor: f64,
    pub(crate) n_roll_backs: u32,
    /// Whether the state is one from which the run can go on exactly: false while an update is under way.
    pub(crate) exact: bool,
    /// Whether a fit was begun with this trainer.
    pub(crate) begun: bool,
    /// Keeps other processes out of the folder.
    pub(crate) _run_dir: Option<RunDir>,
}

impl<M: Model> Trainer<M> {
    /// Begins a trainer of `model`, whose weights are in `vars`.
    pub fn builder(model: M, vars: VarStore) -> TrainerBuilder<M> {
        TrainerBuilder::new(model, vars)
    }

    /// Trains on `train`, validating on `valid` after each epoch.
    ///
    /// A second fit goes on where the first ended, for as many epochs again: weights, optimizer, schedule, history
    /// and best epoch stay; early stopping counts afresh.
    ///
    /// # Errors
    /// A setting does not fit the run (found before the first batch), the run folder holds another run, or a batch,
    /// the model or a callback fails. What was computed before an error stays, in the trainer and in the run folder.
    pub fn fit(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<FitReport> {
        self.go(train, valid, None)
    }

    /// Goes on with the run in the run folder from its last checkpoint, as if it had never been cut off; begins it
    /// if it was cut off before the first checkpoint. The run folder comes from [`RunDir::open`](crate::RunDir::open).
    ///
    /// On the CPU, with the same number of threads, the run ends with the same weights, metrics and logs to the bit.
    /// A run that has ended goes on if it may take more epochs (or steps, or time) than before; else its results are
    /// given again.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); the checkpoint is corrupted ([`Error::Checkpoint`]), or data, model or config are not
    /// those of the run ([`Error::Changed`]).
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
        self.go(train, valid, Some(resume))
    }

    /// Evaluates the present weights on labelled data, and tells the callbacks so that the result is logged.
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
        predict(&self.model, loader, self.device)
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
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
        &self.optimizer
    }

    /// Takes the trainer apart into model and weights.
    pub fn into_parts(self) -> (M, VarStore) {
        (self.model, self.run.into_vars())
    }

    fn go(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
        resume: Option<&Resume>,
    ) -> Result<FitReport> {
        let start = Instant::now();
        let _mode = GradientMode::keep();
        let _inside = self.run.span().entered();
        let _guard = self.settings.interrupt.install();
        let limits = self.settings.limits;
        let limited = limits.apply(train);
        let valid = valid.map(|valid| limits.apply(if limits.overfit { train } else { valid }));
        let valid = valid.as_ref().map(|valid| valid as &dyn Loader<M::Batch>);
        let result = match resume {
            None => self.begin(&limited, valid).map(|()| None),
            Some(resume) => self.begin_again(resume, &limited, valid),
        };
        let result = result.and_then(|ended| {
            self.exact = true;
            let before = self.run.seconds();
            self.at.clock = Some((start, before));
            let ended = match ended {
                Some(ended) => ended,
                None => self.epochs(&limited, valid).inspect_err(|error| self.save_after(error))?,
            };
            let weights = self.final_weights(&ended)?;
            Ok((ended, weights))
        });
        let result = result.map_err(|error| with_tensor_name(error, &self.run.vars));
        self.callbacks.on_fit_end(
            &mut self.run,
            match &result {
                Ok((ended, _)) => Ok(ended),
                Err(error) => Err(error),
            },
        )?;
        result.map(|(ended, weights)| self.report(ended, weights, start))
    }

    pub(crate) fn evaluate(&mut self, loader: &dyn Loader<M::Batch>, phase: Phase) -> Result<Evaluation> {
        let Self { model, run, metrics, callbacks, device, settings, .. } = self;
        let epoch = if phase == Phase::Valid { run.epoch() } else { 0 };
        let evaluation = evaluate_at((phase, epoch), model, loader, metrics, *device, |progress| {
            callbacks.on_evaluation_batch_end(run, phase, progress)?;
            // A test has nothing to save: its run has ended.
            if phase == Phase::Valid && settings.interrupt.is_requested() {
                return Err(Error::Interrupted);
            }
            Ok(())
        });
        evaluation.map_err(|error| with_tensor_name(error, &run.vars))
    }
}

impl<M: Model> std::fmt::Debug for Trainer<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("run", &self.run)
            .field("optimizer", &self.optimizer)
            .field("metrics", &self.metrics.names())
            .field("callbacks", &self.callbacks)
            .field("settings", &self.settings)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
