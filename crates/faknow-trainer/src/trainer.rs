//! The trainer: epochs of training and validation, then the best weights, then the test.

use std::time::Instant;

use faknow_callbacks::{
    BatchEnd, Best, BestTracker, Callback, Callbacks, Flow, Monitor, Phase, Run, StopReason,
};
use faknow_data::{Batch, Loader};
use faknow_metrics::{EpochRecord, Evaluation, History, Metrics, Scores};
use faknow_model::{Loss, Model};
use tch::nn::VarStore;
use tch::{Device, with_grad};

use crate::best_weights::{BestWeights, save_checkpoint};
use crate::error::{Place, phase_name, setting};
use crate::evaluate::{evaluate_at, predict};
use crate::guard::{guard, guarded};
use crate::schedule::{BuildSchedule, Plan, Schedule, Unit};
use crate::seed::seed_step;
use crate::step::{StepContext, non_finite};
use crate::sums::{GradNorms, LossSums};
use crate::{Error, FitReport, Optimizer, Result, TrainStep, TrainerBuilder, Weights};

/// Trains, validates and tests a model.
///
/// `fit` takes data in batches into the model, validates after each epoch, keeps the best weights and tells the
/// callbacks; see [`Callback`] for the life of a run.
pub struct Trainer<M: Model> {
    pub(crate) model: M,
    pub(crate) run: Run,
    pub(crate) optimizer: Optimizer,
    pub(crate) build_schedule: Option<Box<dyn BuildSchedule>>,
    pub(crate) schedule: Option<Box<dyn Schedule>>,
    pub(crate) step: Box<dyn TrainStep<M>>,
    pub(crate) metrics: Metrics,
    pub(crate) callbacks: Callbacks,
    pub(crate) monitor: Option<String>,
    pub(crate) restore_best: bool,
    pub(crate) seed: u64,
    pub(crate) device: Device,
    pub(crate) best_weights: BestWeights,
}

impl<M: Model> Trainer<M> {
    /// Begins a trainer of `model`, whose weights are in `vars`.
    pub fn builder(model: M, vars: VarStore) -> TrainerBuilder<M> {
        TrainerBuilder::new(model, vars)
    }

    /// Trains on `train`, validating on `valid` after each epoch.
    ///
    /// A second fit goes on from the weights and the optimizer's state of the first, with a new history; a run
    /// folder holds one run, so a trainer with one fits once.
    ///
    /// # Errors
    /// A setting does not fit the run (found before the first batch), or a batch, the model or a callback fails.
    /// What was computed before an error stays, in the trainer and in the run folder.
    pub fn fit(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<FitReport> {
        let start = Instant::now();
        let _inside = self.run.span().entered();
        let result = self.start(train, valid).and_then(|mut best| {
            let ended = self.epochs(train, valid, &mut best);
            ended.inspect_err(|error| self.save_after(error)).and_then(|ended| self.finish(ended, start))
        });
        if let Err(error) = &result {
            self.callbacks.on_error(&mut self.run, &error.to_string());
        }
        result
    }

    /// Evaluates the present weights on labelled data, and tells the callbacks so that the result is logged.
    ///
    /// # Errors
    /// The loader is empty, a batch has no labels, or a batch, the model or a callback fails.
    pub fn test(&mut self, loader: &dyn Loader<M::Batch>) -> Result<Evaluation> {
        let _inside = self.run.span().entered();
        let evaluation = self.evaluate(loader, Phase::Test)?;
        self.callbacks.on_test_end(&mut self.run, &evaluation)?;
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

    /// Takes the trainer apart into model and weights.
    pub fn into_parts(self) -> (M, VarStore) {
        (self.model, self.run.vars)
    }

    fn epochs(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
        best: &mut Option<BestTracker>,
    ) -> Result<StopReason> {
        for epoch in 1..=self.run.max_epochs {
            self.run.epoch = epoch;
            self.callbacks.on_epoch_start(&mut self.run)?;
            let (mut record, flow) = self.train_epoch(train)?;
            if let Some(valid) = valid {
                let evaluation = self.evaluate(valid, Phase::Valid)?;
                record.valid_seconds = evaluation.seconds;
                record.valid = Some(evaluation.scores);
            }
            self.run.history.epochs.push(record.clone());
            self.keep_if_best(&record, best)?;
            self.step_schedule(Unit::Epoch)?;
            if record.valid.is_some() {
                self.step_schedule(Unit::Validation)?;
            }
            let answer = self.callbacks.on_epoch_end(&mut self.run, &record)?;
            for flow in [flow, answer] {
                if let Flow::Stop(reason) = flow {
                    return Ok(reason);
                }
            }
        }
        Ok(StopReason::Completed)
    }

    fn train_epoch(&mut self, loader: &dyn Loader<M::Batch>) -> Result<(EpochRecord, Flow)> {
        let start = Instant::now();
        let learning_rates = self.run.learning_rates.clone();
        let mut sums = LossSums::default();
        let mut norms = GradNorms::default();
        let mut flow = Flow::Continue;
        self.run.batch = 0;
        let epoch = self.run.epoch;
        for batch in guarded(move |batch| Place::training(epoch, batch), || loader.batches(epoch - 1, 0))? {
            let (place, batch) = batch?;
            let n_samples = batch.n_samples();
            let loss = self.train_batch(batch, place)?;
            sums.add(&loss, n_samples)?;
            if let Some(norm) = self.optimizer.grad_norm() {
                norms.add(norm)?;
            }
            self.run.batch += 1;
            self.run.step += 1;
            self.run.samples += n_samples as u64;
            // First told, with the rates of this very step, then stepped.
            flow = self.tell_batch_end(&loss, n_samples)?;
            self.step_schedule(Unit::Step)?;
            if flow != Flow::Continue {
                break;
            }
        }
        if self.run.batch == 0 {
            return Err(Error::EmptyLoader {
                phase: phase_name(Phase::Train),
                hint: "it announced batches and gave none",
            });
        }
        let record = EpochRecord {
            epoch: self.run.epoch,
            step: self.run.step,
            samples: self.run.samples,
            train: self.checked_means(&sums)?,
            valid: None,
            learning_rates,
            grad_norm: norms.mean()?,
            train_seconds: start.elapsed().as_secs_f64(),
            valid_seconds: 0.0,
        };
        Ok((record, flow))
    }

    fn train_batch(&mut self, batch: M::Batch, place: Place) -> Result<Loss> {
        self.take_learning_rates()?;
        seed_step(self.seed, self.run.step);
        let context = StepContext { place, step: self.run.step };
        // With gradients, even if a model that panicked inside `no_grad` left them off.
        guard(place, || {
            with_grad(|| {
                let batch = batch.to_device(self.device);
                self.step.step(&mut self.model, &batch, &mut self.optimizer, context)
            })
        })
    }

    /// Gives the optimizer the run's rates, which the schedule or a callback may have changed.
    fn take_learning_rates(&mut self) -> Result<()> {
        let rates = &self.run.learning_rates;
        let n_groups = self.optimizer.learning_rates().len();
        if rates.len() != n_groups {
            return Err(setting(
                "learning_rates of the run",
                &format!("{n_groups}, one a group"),
                rates.len(),
            ));
        }
        if let Some(rate) = rates.iter().find(|rate| !(rate.is_finite() && **rate >= 0.0)) {
            return Err(setting("learning_rates of the run", "numbers of at least 0", rate));
        }
        self.optimizer.set_learning_rates(rates);
        Ok(())
    }

    fn tell_batch_end(&mut self, loss: &Loss, n_samples: usize) -> Result<Flow> {
        let end = BatchEnd {
            n_samples,
            loss: loss.total.detach(),
            parts: loss.parts.iter().map(|(name, part)| (*name, part.detach())).collect(),
            grad_norm: self.optimizer.grad_norm().map(|norm| norm.shallow_clone()),
        };
        Ok(self.callbacks.on_batch_end(&mut self.run, &end)?)
    }

    fn evaluate(&mut self, loader: &dyn Loader<M::Batch>, phase: Phase) -> Result<Evaluation> {
        let Self { model, run, metrics, callbacks, device, .. } = self;
        let epoch = if phase == Phase::Valid { run.epoch } else { 0 };
        evaluate_at((phase, epoch), model, loader, metrics, *device, |done, n_batches| {
            Ok(callbacks.on_evaluation_batch_end(run, phase, done, n_batches)?)
        })
    }

    /// Checks the run's settings against its data, and sets all counters to the beginning.
    fn start(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<Option<BestTracker>> {
        let hint = "give it samples, or a batch size that they fill if the last batch is dropped";
        for (phase, loader) in [(Phase::Train, Some(train)), (Phase::Valid, valid)] {
            if loader.is_some_and(|loader| loader.n_batches() == 0) {
                return Err(Error::EmptyLoader { phase: phase_name(phase), hint });
            }
        }
        let run = &mut self.run;
        if let Some(dir) = run.dir.as_ref().filter(|dir| dir.join("checkpoints").exists()) {
            let message = "it holds a run already; a trainer with a run folder fits once".into();
            return Err(Error::RunDir { path: dir.clone(), message });
        }
        (run.epoch, run.batch, run.step, run.samples) = (0, 0, 0, 0);
        run.n_batches = train.n_batches();
        run.history = History::default();
        run.best = None;
        self.best_weights = BestWeights::None;
        run.monitors = if valid.is_some() { Monitor::all(&self.metrics) } else { Vec::new() };
        run.monitor = choose_monitor(self.monitor.as_deref(), run)?;
        let plan = Plan {
            steps_per_epoch: run.n_batches,
            max_epochs: run.max_epochs,
            monitor_direction: run.monitor.as_ref().map(|m| m.direction),
        };
        let base_rates = self.optimizer.base_learning_rates();
        self.schedule = self.build_schedule.as_ref().map(|s| s.build(base_rates, &plan)).transpose()?;
        self.run.learning_rates = base_rates.to_vec();
        self.apply_schedule();
        self.callbacks.on_fit_start(&mut self.run)?;
        Ok(self.run.monitor.as_ref().map(|m| BestTracker::new(m.direction)))
    }

    /// Puts the best weights back if so asked, saves the last ones, and reports.
    fn finish(&mut self, ended: StopReason, start: Instant) -> Result<FitReport> {
        self.save_last(ended.code())?;
        let restored = self.restore_best && self.best_weights.restore(&self.run.vars)?;
        self.callbacks.on_fit_end(&mut self.run, &ended)?;
        Ok(FitReport {
            ended,
            best: self.run.best.clone(),
            weights: if restored { Weights::Best } else { Weights::Last },
            history: self.run.history.clone(),
            run_dir: self.run.dir.clone(),
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Saves the weights of the last good step; that they cannot be saved must not hide the first error.
    fn save_after(&self, error: &Error) {
        if self.run.step > 0
            && let Err(unsaved) = self.save_last(&error.to_string())
        {
            tracing::warn!("the last weights could not be saved: {unsaved}");
        }
    }

    /// Saves the present weights as the last, with how the run ended.
    fn save_last(&self, ended: &str) -> Result<()> {
        let Some(dir) = &self.run.dir else { return Ok(()) };
        let facts = serde_json::json!({ "epoch": self.run.epoch, "step": self.run.step, "ended": ended });
        save_checkpoint(&self.run.vars, dir, "last", &facts).map(drop)
    }

    fn keep_if_best(&mut self, record: &EpochRecord, tracker: &mut Option<BestTracker>) -> Result<()> {
        let (Some(monitor), Some(tracker)) = (&self.run.monitor, tracker) else { return Ok(()) };
        let value = monitor.require(record)?;
        if !tracker.observe(value) {
            return Ok(());
        }
        let Some(value) = value else { return Ok(()) };
        let best = Best { epoch: record.epoch, step: record.step, monitor: monitor.name.clone(), value };
        self.best_weights.keep(&self.run.vars, self.run.dir.as_deref(), &best)?;
        self.run.best = Some(best);
        Ok(())
    }

    /// Steps the schedule if this is its unit, and takes over its rates.
    fn step_schedule(&mut self, unit: Unit) -> Result<()> {
        let monitored = match (unit, &self.run.monitor, self.run.history.epochs.last()) {
            (Unit::Validation, Some(monitor), Some(record)) => monitor.value(record),
            _ => None,
        };
        match &mut self.schedule {
            Some(schedule) if schedule.unit() == unit => schedule.step(monitored)?,
            _ => return Ok(()),
        }
        self.apply_schedule();
        Ok(())
    }

    fn apply_schedule(&mut self) {
        if let Some(schedule) = &self.schedule {
            self.run.learning_rates = schedule.learning_rates();
        }
    }

    /// The epoch's mean losses; on a device they are read, and found finite or not, only now.
    fn checked_means(&self, sums: &LossSums) -> Result<Scores> {
        let means = sums.means()?;
        let place = Place::training(self.run.epoch, self.run.batch);
        match means.value("loss") {
            Some(loss) if loss.is_finite() => Ok(means),
            loss => Err(non_finite(place, loss.unwrap_or(f64::NAN), Vec::new(), &self.optimizer)),
        }
    }
}

impl<M: Model> std::fmt::Debug for Trainer<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("run", &self.run)
            .field("optimizer", &self.optimizer)
            .field("metrics", &self.metrics.names())
            .field("callbacks", &self.callbacks)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// The monitor that was asked for, or `accuracy`, or the first metric, or the loss.
fn choose_monitor(asked: Option<&str>, run: &Run) -> Result<Option<Monitor>> {
    if let Some(name) = asked {
        return Ok(Some(Monitor::resolve(name, run)?));
    }
    let by_default = run.monitors.iter().find(|m| m.name == "accuracy");
    Ok(by_default.or_else(|| run.monitors.get(1)).or_else(|| run.monitors.first()).cloned())
}
