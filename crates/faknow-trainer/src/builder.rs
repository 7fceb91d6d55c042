//! Puts a trainer together: model, optimizer, schedules, metrics, callbacks, folder.

use faknow_callbacks::{Callback, Callbacks, CsvLog, JsonlLog, Run, RunLog, TensorBoard};
use faknow_metrics::Metrics;
use faknow_model::Model;
use serde_json::{Map, Value, json};
use tch::Device;
use tch::nn::VarStore;

use crate::best_weights::BestWeights;
use crate::error::setting;
use crate::schedule::BuildSchedule;
use crate::{Clip, Optimizer, OptimizerConfig, Result, RunDir, Supervised, TrainStep, Trainer};

/// Options of a [`Trainer`]; every one has a default but the model and its weights.
pub struct TrainerBuilder<M: Model> {
    model: M,
    vars: VarStore,
    optimizer: OptimizerConfig,
    schedule: Option<Box<dyn BuildSchedule>>,
    step: Box<dyn TrainStep<M>>,
    metrics: Metrics,
    callbacks: Callbacks,
    max_epochs: usize,
    clip: Clip,
    monitor: Option<String>,
    restore_best: bool,
    seed: u64,
    device: Device,
    run_dir: Option<RunDir>,
    hyperparameters: Map<String, Value>,
}

impl<M: Model> TrainerBuilder<M> {
    pub(crate) fn new(model: M, vars: VarStore) -> Self {
        let device = vars.device();
        Self {
            model,
            vars,
            optimizer: OptimizerConfig::default(),
            schedule: None,
            step: Box::new(Supervised),
            metrics: Metrics::default(),
            callbacks: Callbacks::default(),
            max_epochs: 10,
            clip: Clip::None,
            monitor: None,
            restore_best: true,
            seed: 0,
            device,
            run_dir: None,
            hyperparameters: Map::new(),
        }
    }

    /// The optimizer. Default: Adam with a learning rate of 0.001.
    #[must_use]
    pub fn optimizer(mut self, config: OptimizerConfig) -> Self {
        self.optimizer = config;
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

    /// Adds a callback behind those that are there. Default: none but the files' own, see [`Self::run_dir`].
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Epochs to train, at least 1. Default 10.
    #[must_use]
    pub fn max_epochs(mut self, n: usize) -> Self {
        self.max_epochs = n;
        self
    }

    /// Gradient clipping, in every step. Default: none.
    #[must_use]
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clip = clip;
        self
    }

    /// The validation value that chooses the best epoch; the metric knows which way is better.
    /// Default: `accuracy` if it is measured, else the first metric, else `loss`.
    #[must_use]
    pub fn monitor(mut self, name: impl Into<String>) -> Self {
        self.monitor = Some(name.into());
        self
    }

    /// Whether the model ends with the weights of the best epoch. Default true; without validation the last stay.
    #[must_use]
    pub fn restore_best(mut self, restore: bool) -> Self {
        self.restore_best = restore;
        self
    }

    /// Seed of all noise in training (dropout); the order of batches is the loader's own. Default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The device on which to train; the model is moved there. Default: where the weights are.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The run's own folder: weights, `run.log`, `history.jsonl`, `metrics.csv` and `tensorboard/` go there.
    /// Default: none, and nothing is written.
    #[must_use]
    pub fn run_dir(mut self, dir: RunDir) -> Self {
        self.run_dir = Some(dir);
        self
    }

    /// Further settings to record with the run, by dotted name. Default: none beside the trainer's own.
    #[must_use]
    pub fn hyperparameters(mut self, values: Map<String, Value>) -> Self {
        self.hyperparameters = values;
        self
    }

    /// Checks all settings and builds the trainer.
    ///
    /// # Errors
    /// Names the setting that is outside its range.
    pub fn build(mut self) -> Result<Trainer<M>> {
        if self.max_epochs == 0 {
            return Err(setting("trainer.epochs", "at least 1", 0));
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
        let optimizer = Optimizer::new(&self.optimizer, &self.vars, self.clip)?;
        let name = self.run_dir.as_ref().map_or_else(|| "run".to_owned(), RunDir::name);
        let mut run = Run::new(name, self.vars);
        run.max_epochs = self.max_epochs;
        run.dir = self.run_dir.as_ref().map(|dir| dir.path().to_path_buf());
        run.hyperparameters = own_hyperparameters(&self.optimizer, self.clip, self.max_epochs, self.seed);
        run.hyperparameters.extend(self.hyperparameters);
        let callbacks = if run.dir.is_some() { with_file_logs(self.callbacks) } else { self.callbacks };
        Ok(Trainer {
            model: self.model,
            run,
            optimizer,
            build_schedule: self.schedule,
            schedule: None,
            step: self.step,
            metrics: self.metrics,
            callbacks,
            monitor: self.monitor,
            restore_best: self.restore_best,
            seed: self.seed,
            device: self.device,
            best_weights: BestWeights::None,
        })
    }
}

/// The callbacks that write into the run folder, before the user's own.
fn with_file_logs(own: Callbacks) -> Callbacks {
    let mut all = Callbacks::default();
    all.push(RunLog::new());
    all.push(CsvLog::new());
    all.push(JsonlLog::new());
    all.push(TensorBoard::new());
    all.push(own);
    all
}

/// The trainer's own settings by dotted name.
fn own_hyperparameters(
    optimizer: &OptimizerConfig,
    clip: Clip,
    max_epochs: usize,
    seed: u64,
) -> Map<String, Value> {
    let mut all = Map::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(optimizer) {
        all.extend(fields.into_iter().map(|(name, value)| (format!("optimizer.{name}"), value)));
    }
    all.insert("trainer.epochs".into(), json!(max_epochs));
    match clip {
        Clip::None => {}
        Clip::Norm(max) => drop(all.insert("trainer.clip_norm".into(), json!(max))),
        Clip::Value(max) => drop(all.insert("trainer.clip_value".into(), json!(max))),
    }
    all.insert("seed".into(), json!(seed));
    all
}
