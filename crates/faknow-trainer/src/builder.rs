//! The builder of a trainer: model, optimizer, schedules, metrics, callbacks, run directory.

use faknow_callbacks::{
    Callback, Callbacks, Interval, IntoInterval, MonitorChoice, ParseIntervalError, RunOwner,
};
use faknow_metrics::Metrics;
use faknow_model::Model;
use serde_json::{Map, Value};
use tch::Device;
use tch::nn::VarStore;

use crate::checkpoint::checkpointer::Checkpointer;
use crate::checkpoint::options::Recorded;
use crate::error::setting;
use crate::file_logs::{check_files, with_file_logs};
use crate::fit::averages::WeightAverage;
use crate::fit::buffers::Buffers;
use crate::fit::limits::Limits;
use crate::fit::optimization::Optimization;
use crate::fit::settings::Settings;
use crate::fit::state::FitState;
use crate::fit::task::Task;
use crate::schedule::BuildSchedule;
use crate::{
    CheckpointPolicy, Clip, Error, Interrupt, NonFinitePolicy, Optimizer, OptimizerConfig, Result, RunDir,
    Supervised, TrainMetrics, TrainStep, Trainer, WeightAveraging,
};

/// Builder of a [`Trainer`]. Every option but the model and its weights has a default.
pub struct TrainerBuilder<M: Model> {
    model: M,
    vars: VarStore,
    optimizer: OptimizerConfig,
    schedule: Option<Box<dyn BuildSchedule>>,
    step: Box<dyn TrainStep<M>>,
    metrics: Metrics,
    train_metrics: TrainMetrics,
    callbacks: Callbacks,
    clip: Clip,
    settings: Settings,
    checkpoints: CheckpointPolicy,
    average: Option<WeightAveraging>,
    device: Device,
    run_dir: Option<RunDir>,
    hyperparameters: Map<String, Value>,
    histograms_every: Option<usize>,
    /// The first invalid setting, for `build` to report.
    invalid: Option<Error>,
}

impl<M: Model> TrainerBuilder<M> {
    pub(crate) fn new(model: M, vars: VarStore) -> Self {
        let device = vars.device();
        Self {
            model,
            vars,
            optimizer: OptimizerConfig::default(),
            schedule: None,
            step: Box::new(Supervised::default()),
            metrics: Metrics::default(),
            train_metrics: TrainMetrics::default(),
            callbacks: Callbacks::default(),
            clip: Clip::None,
            settings: Settings {
                n_epochs: 10,
                stop_after: Vec::new(),
                monitor: None,
                restore_best: true,
                seed: 0,
                accumulate_grad_batches: 1,
                validate_every: None,
                num_sanity_val_batches: 2,
                limits: Limits::default(),
                fast_dev_run: false,
                on_non_finite: NonFinitePolicy::default(),
                deferred_checks: None,
                interrupt: Interrupt::default(),
                auto_resume: false,
            },
            checkpoints: CheckpointPolicy::default(),
            average: None,
            device,
            run_dir: None,
            hyperparameters: Map::new(),
            histograms_every: None,
            invalid: None,
        }
    }

    /// Sets the optimizer. Default: Adam with a learning rate of 0.001.
    #[must_use]
    pub fn optimizer(mut self, config: impl Into<OptimizerConfig>) -> Self {
        self.optimizer = config.into();
        self
    }

    /// Sets the learning-rate schedule: a [`ScheduleConfig`](crate::schedule::ScheduleConfig) or a custom one.
    /// Default: a constant learning rate.
    #[must_use]
    pub fn schedule(mut self, schedule: impl BuildSchedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Sets the training step, which processes each batch. Default: [`Supervised`].
    #[must_use]
    pub fn step(mut self, step: impl TrainStep<M> + 'static) -> Self {
        self.step = Box::new(step);
        self
    }

    /// Sets the metrics of validation and test. Default: accuracy, precision, recall, F1.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets the metrics of the training pass, recorded as `train/<name>`: `false` for none, or names of metrics that need
    /// only predicted classes. They are computed from the logits of the training steps, that is, with dropout and changing
    /// weights. Default: accuracy.
    #[must_use]
    pub fn train_metrics(mut self, metrics: impl Into<TrainMetrics>) -> Self {
        self.train_metrics = metrics.into();
        self
    }

    /// Appends a callback. Default: only those that write the files of the run directory, see [`Self::run_dir`].
    #[must_use]
    pub fn callback(mut self, callback: impl Into<Box<dyn Callback>>) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Appends several callbacks. Default: none.
    #[must_use]
    pub fn callbacks(mut self, callbacks: Callbacks) -> Self {
        self.callbacks.append(callbacks);
        self
    }

    /// Sets the number of epochs to train, at least 1. Default: 10.
    #[must_use]
    pub fn max_epochs(mut self, n: usize) -> Self {
        self.settings.n_epochs = n;
        self
    }

    /// Stops the run after a number of steps, samples or seconds, even within an epoch; may be called several times.
    /// Default: only `max_epochs` stops it.
    ///
    /// A learning-rate schedule is laid out for the run up to its first limit; for a time limit, this length is estimated
    /// from the time of the updates so far.
    ///
    /// ```
    /// # use faknow_callbacks::{Interval, ParseIntervalError};
    /// # use faknow_model::Model;
    /// # use faknow_trainer::TrainerBuilder;
    /// # fn limit<M: Model>(builder: TrainerBuilder<M>, text: &str) -> Result<TrainerBuilder<M>, ParseIntervalError> {
    /// let builder = builder.stop_after("500 steps").stop_after(Interval::seconds(3600.0));
    /// let builder = builder.stop_after(text.parse::<Interval>()?); // an invalid text is an error here, not of `build`
    /// # Ok(builder) }
    /// ```
    #[must_use]
    pub fn stop_after(mut self, limit: impl IntoInterval) -> Self {
        if let Some(limit) = self.interval("stop_after", limit) {
            self.settings.stop_after.push(limit);
        }
        self
    }

    /// Sets the number of batches whose gradients are accumulated for one update, at least 1; the last window of an epoch
    /// may be smaller. Each batch is weighted by its samples, so the update equals that of one large batch. Default: 1.
    #[must_use]
    pub fn accumulate_grad_batches(mut self, batches: usize) -> Self {
        self.settings.accumulate_grad_batches = batches;
        self
    }

    /// Sets how often to validate: within an epoch (`100 steps`, `0.25 epochs`) or every few epochs (`2 epochs`). The
    /// last epoch is always validated. Default: after each epoch.
    #[must_use]
    pub fn validate_every(mut self, every: impl IntoInterval) -> Self {
        self.settings.validate_every = self.interval("validate_every", every);
        self
    }

    /// Sets the number of validation batches to run before the first epoch, so that errors in them surface immediately;
    /// their results are discarded. 0 for none. Default: 2.
    #[must_use]
    pub fn num_sanity_val_batches(mut self, n: usize) -> Self {
        self.settings.num_sanity_val_batches = n;
        self
    }

    /// Limits each pass over training, validation and test data to `n` batches. Default: all batches.
    #[must_use]
    pub fn limit_batches(mut self, n: usize) -> Self {
        self.settings.limits.batches = Some(n);
        self
    }

    /// Trains on the same `n` batches in every epoch and validates on them too: a working model can memorize them.
    /// Default: off.
    #[must_use]
    pub fn overfit_batches(mut self, n: usize) -> Self {
        self.settings.limits = Limits { batches: Some(n), overfit: true };
        self
    }

    /// Runs one batch of training, validation and test, as a smoke test. The schedule is that of the full run.
    /// Default: off.
    #[must_use]
    pub fn fast_dev_run(mut self) -> Self {
        self.settings.fast_dev_run = true;
        self.limit_batches(1)
    }

    /// Sets the weight average to validate, save and return. Default: none.
    #[must_use]
    pub fn average(mut self, average: WeightAveraging) -> Self {
        self.average = Some(average);
        self
    }

    /// Sets the policy for losses and gradients that are not finite. Default: the run fails.
    #[must_use]
    pub fn on_non_finite(mut self, policy: NonFinitePolicy) -> Self {
        self.settings.on_non_finite = policy;
        self
    }

    /// Sets whether losses and gradients are checked for NaN and infinities only before checkpoints and at the end of epochs,
    /// not in each update; either way, no update is made from them. Default: true with [`NonFinitePolicy::Stop`] on a GPU.
    #[must_use]
    pub fn deferred_checks(mut self, is_deferred: bool) -> Self {
        self.settings.deferred_checks = Some(is_deferred);
        self
    }

    /// Sets which checkpoints are written to the run directory and retained. Default: `last` after each epoch, and `best`.
    #[must_use]
    pub fn checkpoints(mut self, policy: CheckpointPolicy) -> Self {
        self.checkpoints = policy;
        self
    }

    /// Sets the handle by which the run can be stopped from outside, see [`Interrupt`]. Default: none.
    #[must_use]
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.settings.interrupt = interrupt;
        self
    }

    /// Sets the gradient clipping of every step. Default: none.
    #[must_use]
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clip = clip;
        self
    }

    /// Sets the value that selects the best epoch: the name of a recorded value (`f1`, `valid/f1`, `train/loss`), whose
    /// direction is known, or a [`Monitor`](faknow_callbacks::Monitor) with a direction, such as for a value that a
    /// callback logs. Default: `accuracy` if it is measured, else the first metric, else `loss`.
    #[must_use]
    pub fn monitor(mut self, monitor: impl Into<MonitorChoice>) -> Self {
        self.settings.monitor = Some(monitor.into());
        self
    }

    /// Sets whether the weights of the best epoch are restored at the end. Default: true; without validation, the last
    /// weights are used.
    #[must_use]
    pub fn restore_best(mut self, restore: bool) -> Self {
        self.settings.restore_best = restore;
        self
    }

    /// Sets the seed of all noise in training (dropout); the loader determines the order of batches. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// Sets the device to train on; the model is moved there. Default: the device of the weights.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Sets the run directory, for checkpoints, `run.log`, `history.jsonl`, `metrics.csv` and, with the feature
    /// `tensorboard`, `tensorboard/`. Default: none, and nothing is written.
    #[must_use]
    pub fn run_dir(mut self, dir: RunDir) -> Self {
        self.run_dir = Some(dir);
        self
    }

    /// Makes [`fit`](Trainer::fit) resume the run in the run directory if it has a checkpoint, and start it otherwise:
    /// with [`RunDir::open_or_create`], one program does both. Default: off.
    #[must_use]
    pub fn auto_resume(mut self) -> Self {
        self.settings.auto_resume = true;
        self
    }

    /// Writes histograms of weights and gradients for TensorBoard into the run directory every `epochs` epochs, see
    /// `TensorBoard::histograms_every`. Default: never. Requires the feature `tensorboard`; without it,
    /// [`build`](Self::build) returns an error.
    #[must_use]
    pub fn histograms_every(mut self, epochs: usize) -> Self {
        self.histograms_every = Some(epochs);
        self
    }

    /// Adds settings to record with the run, by dotted name. Default: none besides those of the trainer.
    #[must_use]
    pub fn hyperparameters(mut self, values: Map<String, Value>) -> Self {
        self.hyperparameters = values;
        self
    }

    /// Parses the interval of a setting; an invalid one becomes an error of [`build`](Self::build).
    fn interval(&mut self, name: &str, interval: impl IntoInterval) -> Option<Interval> {
        interval
            .into_interval()
            .map_err(|error| {
                self.invalid.get_or_insert(setting(name, ParseIntervalError::EXPECTED, error.text()))
            })
            .ok()
    }

    /// Validates all settings and builds the trainer.
    ///
    /// # Errors
    /// A setting is invalid: the error names it.
    pub fn build(mut self) -> Result<Trainer<M>> {
        if let Some(error) = self.invalid.take() {
            return Err(error);
        }
        self.settings.validate(self.run_dir.is_some())?;
        self.checkpoints.validate()?;
        check_files(&self.checkpoints, self.histograms_every, self.run_dir.is_some())?;
        if let Some(average) = &self.average {
            average.validate()?;
        }
        if matches!(self.device, Device::Cuda(_)) && !tch::Cuda::is_available() {
            return Err(setting("device", "an available device", "cuda, but libtorch finds no CUDA device"));
        }
        if self.device != self.vars.device() {
            self.vars.set_device(self.device);
        }
        let optimizer = Optimizer::new(&self.optimizer, &self.vars, self.clip)?;
        if optimizer.parameters().next().is_none() {
            let n = self.vars.len();
            let got = format!("{n} variables, none of them trainable; build the model in this `VarStore`");
            return Err(setting("vars", "the variables of the model", got));
        }
        let name = self.run_dir.as_ref().map_or_else(|| "run".to_owned(), RunDir::name);
        let mut run = RunOwner::new(name, self.vars);
        run.progress_mut().max_epochs = self.settings.max_epochs();
        run.setup_mut().dir = self.run_dir.as_ref().map(|dir| dir.path().to_path_buf());
        let schedule = self.schedule.as_ref().map(|schedule| schedule.settings());
        let (step, average) = (self.step.settings(), self.average.as_ref());
        let mut recorded = Recorded::of_updates(&self.optimizer, schedule, step, self.clip, average);
        recorded.add_changed("trainer.metrics", self.metrics.names(), Metrics::default().names());
        recorded.add_changed("trainer.train_metrics", &self.train_metrics, &TrainMetrics::default());
        self.settings.record(&mut recorded);
        self.callbacks.settings().into_iter().for_each(|(key, settings)| recorded.add(&key, settings));
        run.setup_mut().hyperparameters = recorded.0;
        run.setup_mut().hyperparameters.extend(self.hyperparameters);
        let callbacks = if run.dir().is_some() {
            with_file_logs(self.callbacks, self.histograms_every)
        } else {
            self.callbacks
        };
        callbacks.check_keys()?;
        let buffers = Buffers::new(&run.vars)?;
        let average = self.average.map(|rule| WeightAverage::new(rule, &run.vars)).transpose()?;
        Ok(Trainer {
            run,
            task: Task {
                model: self.model,
                step: self.step,
                metrics: self.metrics,
                train_metrics: self.train_metrics.resolve()?,
                device: self.device,
            },
            optimization: Optimization::new(optimizer, self.schedule, average),
            state: FitState::default(),
            buffers,
            checkpointer: Checkpointer::new(self.checkpoints, self.run_dir),
            callbacks,
            settings: self.settings,
        })
    }
}
