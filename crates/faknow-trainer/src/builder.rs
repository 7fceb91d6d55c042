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
use crate::error::setting;
use crate::file_logs::{check_histograms, with_file_logs};
use crate::fit::averages::WeightAverage;
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

/// Options of a [`Trainer`]; every one has a default but the model and its weights.
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
    /// The first setting that is not what it should be, for `build` to report.
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

    /// The optimizer. Default: Adam with a learning rate of 0.001.
    #[must_use]
    pub fn optimizer(mut self, config: impl Into<OptimizerConfig>) -> Self {
        self.optimizer = config.into();
        self
    }

    /// The learning-rate schedule: a [`ScheduleConfig`](crate::schedule::ScheduleConfig), or your own.
    /// Default: the rate stays as it is.
    #[must_use]
    pub fn schedule(mut self, schedule: impl BuildSchedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// What is done with each batch. Default: [`Supervised`].
    #[must_use]
    pub fn step(mut self, step: impl TrainStep<M> + 'static) -> Self {
        self.step = Box::new(step);
        self
    }

    /// The metrics of validation and test. Default: accuracy, precision, recall, F1.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The metrics of the training pass, recorded as `train/<name>`: `false` for none, or names of metrics that need only
    /// predicted classes. They are computed from the logits of the training steps, so with dropout and while the weights
    /// change. Default: accuracy.
    #[must_use]
    pub fn train_metrics(mut self, metrics: impl Into<TrainMetrics>) -> Self {
        self.train_metrics = metrics.into();
        self
    }

    /// Appends a callback. Default: none but those of the run directory's files, see [`Self::run_dir`].
    #[must_use]
    pub fn callback(mut self, callback: impl Into<Box<dyn Callback>>) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Appends all callbacks of a list. Default: none.
    #[must_use]
    pub fn callbacks(mut self, callbacks: Callbacks) -> Self {
        self.callbacks.append(callbacks);
        self
    }

    /// Epochs to train, at least 1. Default 10.
    #[must_use]
    pub fn max_epochs(mut self, n: usize) -> Self {
        self.settings.n_epochs = n;
        self
    }

    /// Ends the run when it is this long, in steps, samples or seconds, even within an epoch; may be given several
    /// times. Default: only `max_epochs` ends it.
    #[must_use]
    pub fn stop_after(mut self, limit: impl IntoInterval) -> Self {
        if let Some(limit) = self.interval("stop_after", limit) {
            self.settings.stop_after.push(limit);
        }
        self
    }

    /// Batches whose gradients together make one update, at least 1; a last window of an epoch may be smaller. Each
    /// batch counts by its samples, so the update is that of one large batch. Default 1.
    #[must_use]
    pub fn accumulate_grad_batches(mut self, batches: usize) -> Self {
        self.settings.accumulate_grad_batches = batches;
        self
    }

    /// How often to validate, inside an epoch (`100 steps`, `0.25 epochs`) or after every few (`2 epochs`). The
    /// last epoch is always validated. Default: after each epoch.
    #[must_use]
    pub fn validate_every(mut self, every: impl IntoInterval) -> Self {
        self.settings.validate_every = self.interval("validate_every", every);
        self
    }

    /// Validation batches that are tried before the first epoch, so that what is wrong with them shows at once; their
    /// results are dropped. 0 for none. Default 2.
    #[must_use]
    pub fn num_sanity_val_batches(mut self, n: usize) -> Self {
        self.settings.num_sanity_val_batches = n;
        self
    }

    /// Batches at most of each pass over training, validation and test data. Default: all.
    #[must_use]
    pub fn limit_batches(mut self, n: usize) -> Self {
        self.settings.limits.batches = Some(n);
        self
    }

    /// Trains on the same `n` batches in every epoch and validates on them too: a model that can learn anything
    /// can memorize them. Default: off.
    #[must_use]
    pub fn overfit_batches(mut self, n: usize) -> Self {
        self.settings.limits = Limits { batches: Some(n), overfit: true };
        self
    }

    /// One epoch of one batch, validation and test of one batch: does everything once, to see that it works. The schedule
    /// is that of the entire run. Default: off.
    #[must_use]
    pub fn fast_dev_run(mut self) -> Self {
        self.settings.fast_dev_run = true;
        self.limit_batches(1)
    }

    /// An average of the weights to validate, keep and end with. Default: none.
    #[must_use]
    pub fn average(mut self, average: WeightAveraging) -> Self {
        self.average = Some(average);
        self
    }

    /// What happens if a loss or gradients are not finite. Default: the run fails.
    #[must_use]
    pub fn on_non_finite(mut self, policy: NonFinitePolicy) -> Self {
        self.settings.on_non_finite = policy;
        self
    }

    /// Which checkpoints are written and kept in the run directory. Default: `last` after each epoch, and `best`.
    #[must_use]
    pub fn checkpoints(mut self, policy: CheckpointPolicy) -> Self {
        self.checkpoints = policy;
        self
    }

    /// Who may ask for the end of the run, see [`Interrupt`]. Default: nobody.
    #[must_use]
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.settings.interrupt = interrupt;
        self
    }

    /// Gradient clipping, in every step. Default: none.
    #[must_use]
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clip = clip;
        self
    }

    /// The value that chooses the best epoch: the name of a recorded one (`f1`, `valid/f1`, `train/loss`), which knows its
    /// direction, or a [`Monitor`](faknow_callbacks::Monitor) with one, such as that of a value that a callback logs.
    /// Default: `accuracy` if it is measured, else the first metric, else `loss`.
    #[must_use]
    pub fn monitor(mut self, monitor: impl Into<MonitorChoice>) -> Self {
        self.settings.monitor = Some(monitor.into());
        self
    }

    /// Whether the model ends with the weights of the best epoch. Default true; without validation the last stay.
    #[must_use]
    pub fn restore_best(mut self, restore: bool) -> Self {
        self.settings.restore_best = restore;
        self
    }

    /// Seed of all noise in training (dropout); the order of batches is the loader's own. Default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// The device on which to train; the model is moved there. Default: where the weights are.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The run's own directory: weights, `run.log`, `history.jsonl`, `metrics.csv` and, with the feature
    /// `tensorboard`, `tensorboard/` go there.
    /// Default: none, and nothing is written.
    #[must_use]
    pub fn run_dir(mut self, dir: RunDir) -> Self {
        self.run_dir = Some(dir);
        self
    }

    /// Lets [`fit`](Trainer::fit) resume the run that the run directory holds, if it has a checkpoint, and start it
    /// otherwise: with [`RunDir::open_or_create`], one program does both. Default: off.
    #[must_use]
    pub fn auto_resume(mut self) -> Self {
        self.settings.auto_resume = true;
        self
    }

    /// Writes histograms of weights and gradients for TensorBoard into the run directory every `epochs` epochs, see
    /// `TensorBoard::histograms_every`. Default: never. Needs the feature `tensorboard`; [`build`](Self::build) refuses
    /// it otherwise.
    #[must_use]
    pub fn histograms_every(mut self, epochs: usize) -> Self {
        self.histograms_every = Some(epochs);
        self
    }

    /// Further settings to record with the run, by dotted name. Default: none besides the trainer's own.
    #[must_use]
    pub fn hyperparameters(mut self, values: Map<String, Value>) -> Self {
        self.hyperparameters = values;
        self
    }

    /// The interval of a setting; a text that is not one is an error of [`build`](Self::build).
    fn interval(&mut self, name: &str, interval: impl IntoInterval) -> Option<Interval> {
        interval
            .into_interval()
            .map_err(|error| {
                self.invalid.get_or_insert(setting(name, ParseIntervalError::EXPECTED, error.text()))
            })
            .ok()
    }

    /// Checks all settings and builds the trainer.
    ///
    /// # Errors
    /// Names the setting that is outside its range.
    pub fn build(mut self) -> Result<Trainer<M>> {
        if let Some(error) = self.invalid.take() {
            return Err(error);
        }
        self.settings.validate(self.run_dir.is_some())?;
        self.checkpoints.validate()?;
        if self.run_dir.is_none() {
            let is_set = self.checkpoints != CheckpointPolicy::default();
            let without_files = "nothing without a run directory (`.run_dir(..)`), into which its files go";
            for (name, is_set) in
                [("checkpoints", is_set), ("histograms_every", self.histograms_every.is_some())]
            {
                if is_set {
                    return Err(setting(name, without_files, "a value"));
                }
            }
        }
        if let Some(average) = &self.average {
            average.validate()?;
        }
        if matches!(self.device, Device::Cuda(_)) && !tch::Cuda::is_available() {
            return Err(setting(
                "device",
                "a device that is there",
                "cuda, but libtorch finds no CUDA device",
            ));
        }
        if self.device != self.vars.device() {
            self.vars.set_device(self.device);
        }
        check_histograms(self.histograms_every)?;
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
        run.setup_mut().hyperparameters =
            self.settings.hyperparameters(&self.optimizer, self.clip, self.average.as_ref());
        run.setup_mut().hyperparameters.extend(self.hyperparameters);
        let callbacks = if run.dir().is_some() {
            with_file_logs(self.callbacks, self.histograms_every)
        } else {
            self.callbacks
        };
        callbacks.check_keys()?;
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
            checkpointer: Checkpointer::new(self.checkpoints, self.run_dir),
            callbacks,
            settings: self.settings,
        })
    }
}
