//! The state of a training run: the view of callbacks, and the owner's write access.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use faknow_metrics::{EpochRecord, History};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::nn::VarStore;

use crate::collect::check_train_name;
use crate::{FitStart, LoggedValues, Monitor, Result, Timestamp};

/// A training run as callbacks see it: its progress, weights and results so far.
///
/// A callback may read everything, change the weights in `vars` and the `learning_rates`, and [`log`](Self::log) values.
/// Only the training loop, which has a [`RunOwner`], can change the progress.
#[derive(Debug)]
pub struct Run {
    /// The weights, under PyTorch's names.
    pub vars: VarStore,
    /// Learning rate of each parameter group. A value set in `on_batch_start` applies to the update of that batch.
    pub learning_rates: Vec<f64>,
    progress: RunProgress,
    setup: RunSetup,
    /// Values logged by the current hook.
    pub(crate) pending: Vec<(String, f64)>,
    /// Values logged during the current pass over validation or test data.
    pub(crate) pass_log: LoggedValues,
}

/// The progress of a run, serialized into every checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunProgress {
    /// The current epoch, from 1; 0 before the first.
    pub epoch: usize,
    /// Maximum number of epochs.
    pub max_epochs: usize,
    /// Number of completed batches of the current epoch.
    pub batch: usize,
    /// Number of batches per epoch.
    pub n_batches: usize,
    /// Optimizer steps (updates of the weights) since the start of the run.
    pub step: u64,
    /// Number of training samples since the start of the run.
    pub samples: u64,
    /// Seconds of the fit up to the last update, including those before an interruption.
    pub seconds: f64,
    /// Number of updates skipped because the loss or the gradients were not finite.
    pub skipped: u64,
    /// The best epoch so far by the run's monitor.
    pub best: Option<Best>,
    /// Results of all epochs so far.
    #[serde(with = "history_state")]
    pub history: History,
    /// Values that callbacks and steps logged in the current epoch.
    pub logged: LoggedValues,
    /// Settings that were changed when the run was resumed, oldest first.
    pub changes: Vec<SettingChange>,
}

/// A setting that was changed when a run was resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingChange {
    /// Optimizer steps before the change.
    pub step: u64,
    /// Completed epochs before the change.
    pub epoch: usize,
    /// The dotted name.
    pub name: String,
    /// The value before; `None` if it was not set.
    pub from: Option<Value>,
    /// The value from then on; `None` if it is not set any more.
    pub to: Option<Value>,
}

/// The properties of a run that are fixed at the start of a fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunSetup {
    /// Name of the run: `textcnn-20260801-120000-3f2a`.
    pub name: String,
    /// The run directory, if there is one.
    pub dir: Option<PathBuf>,
    /// The way the fit started.
    pub start: FitStart,
    /// The values that validation records, with their directions; empty without validation data.
    pub monitors: Vec<Monitor>,
    /// The value that determines the best epoch; `None` without validation data.
    pub monitor: Option<Monitor>,
    /// Metrics of the training pass, with their directions.
    pub train_metrics: Vec<Monitor>,
    /// Settings of the run by dotted name, such as `optimizer.lr`; for logs.
    pub hyperparameters: Map<String, Value>,
}

impl Run {
    /// Logs a value under a name. It appears in the history, `metrics.csv`, `history.jsonl`, TensorBoard, the console and
    /// the report, and can be monitored.
    ///
    /// | hook | recorded as | value |
    /// | --- | --- | --- |
    /// | `on_batch_start`, `on_batch_end`, a training step | `train/<name>` | mean over the samples of the epoch |
    /// | `on_fit_start`, `on_epoch_start`, `on_checkpoint`, `on_epoch_end`, `on_fit_end` | `train/<name>` | unchanged |
    /// | `on_evaluation_batch_end` | `valid/<name>` or `test/<name>` | mean over the samples of the pass |
    /// | `on_evaluation_start`, `on_evaluation_end` | `valid/<name>` or `test/<name>` | unchanged |
    ///
    /// When the hook returns, the names `loss`, `loss/…` and those of metrics of the same phase are an error, and so are two
    /// values of the same name in `on_evaluation_end` or `on_epoch_end`. A value that is not finite is recorded as
    /// undefined. At the end of an epoch or evaluation, log callbacks and the progress bar are called after all others and
    /// receive the values logged there.
    pub fn log(&mut self, name: impl Into<String>, value: impl Into<f64>) {
        self.pending.push((name.into(), value.into()));
    }

    /// Returns the name of the run.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Returns the run directory, if there is one.
    pub fn dir(&self) -> Option<&Path> {
        self.setup.dir.as_deref()
    }

    /// Returns the way the fit started.
    pub fn start(&self) -> FitStart {
        self.setup.start
    }

    /// Returns the current epoch, from 1; 0 before the first.
    pub fn epoch(&self) -> usize {
        self.progress.epoch
    }

    /// Returns the maximum number of epochs.
    pub fn max_epochs(&self) -> usize {
        self.progress.max_epochs
    }

    /// Returns the number of completed batches of the current epoch.
    pub fn batch(&self) -> usize {
        self.progress.batch
    }

    /// Returns the number of batches per epoch.
    pub fn n_batches(&self) -> usize {
        self.progress.n_batches
    }

    /// Returns the number of optimizer steps (updates of the weights) since the start of the run.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Returns the number of training samples since the start of the run.
    pub fn samples(&self) -> u64 {
        self.progress.samples
    }

    /// Returns the seconds of the fit up to the last update, including those before an interruption.
    pub fn seconds(&self) -> f64 {
        self.progress.seconds
    }

    /// Returns the number of updates skipped because the loss or the gradients were not finite.
    pub fn skipped(&self) -> u64 {
        self.progress.skipped
    }

    /// Returns the results of all epochs so far.
    pub fn history(&self) -> &History {
        &self.progress.history
    }

    /// Returns the settings that were changed when the run was resumed, oldest first.
    pub fn changes(&self) -> &[SettingChange] {
        &self.progress.changes
    }

    /// Returns the best epoch so far by the run's monitor.
    pub fn best(&self) -> Option<&Best> {
        self.progress.best.as_ref()
    }

    /// Returns the newest record: of the epoch that just ended or, during an epoch, of the last validation within it.
    pub fn record(&self) -> Option<&EpochRecord> {
        let History { epochs, mid_epoch } = &self.progress.history;
        let epoch = epochs.last().filter(|record| record.epoch == self.progress.epoch);
        let validation = mid_epoch.last().filter(|record| record.epoch == self.progress.epoch);
        epoch.or(validation).or(epochs.last())
    }

    /// Returns the values that validation records, with their directions; empty without validation data.
    pub fn monitors(&self) -> &[Monitor] {
        &self.setup.monitors
    }

    /// Returns the value that determines the best epoch; `None` without validation data.
    pub fn monitor(&self) -> Option<&Monitor> {
        self.setup.monitor.as_ref()
    }

    /// Returns the settings of the run by dotted name, such as `optimizer.lr`.
    pub fn hyperparameters(&self) -> &Map<String, Value> {
        &self.setup.hyperparameters
    }

    /// Returns the progress of the run in every unit.
    pub fn timestamp(&self) -> Timestamp {
        self.progress.timestamp()
    }

    /// Returns the `tracing` span of this run, which the training loop enters. [`RunLog`](crate::RunLog) writes the events
    /// inside this span, and no others, into the log of the run.
    ///
    /// ```
    /// # let run = faknow_callbacks::RunOwner::new("textcnn", tch::nn::VarStore::new(tch::Device::Cpu));
    /// let _inside = run.span().entered();
    /// tracing::warn!("this event belongs to the run");
    /// ```
    pub fn span(&self) -> tracing::Span {
        // At the highest level, so that no level filter disables the span.
        tracing::error_span!(target: crate::logs::layer::RUN_TARGET, "run", name = %self.setup.name)
    }

    pub(crate) fn progress_mut(&mut self) -> &mut RunProgress {
        &mut self.progress
    }

    /// Returns the record of the current epoch, or else of the last validation within it.
    pub(crate) fn record_mut(&mut self) -> Option<&mut EpochRecord> {
        let epoch = self.progress.epoch;
        let History { epochs, mid_epoch } = &mut self.progress.history;
        let completed = epochs.last_mut().filter(|record| record.epoch == epoch);
        completed.or(mid_epoch.last_mut().filter(|record| record.epoch == epoch))
    }

    pub(crate) fn setup(&self) -> &RunSetup {
        &self.setup
    }
}

impl RunProgress {
    /// Returns the progress of the run in every unit.
    pub fn timestamp(&self) -> Timestamp {
        let fraction = if self.n_batches == 0 { 0.0 } else { self.batch as f64 / self.n_batches as f64 };
        Timestamp {
            epochs: self.epoch.saturating_sub(1) as f64 + fraction,
            steps: self.step,
            samples: self.samples,
            seconds: self.seconds,
        }
    }
}

/// A run with write access to its progress and setup. The training loop owns it and passes `&mut Run` to callbacks.
///
/// ```
/// use faknow_callbacks::{Run, RunOwner};
/// use tch::{Device, nn::VarStore};
///
/// let mut owner = RunOwner::new("textcnn", VarStore::new(Device::Cpu));
/// owner.progress_mut().epoch += 1;
/// let run: &mut Run = &mut owner;
/// assert_eq!(run.epoch(), 1);
/// ```
#[derive(Debug)]
pub struct RunOwner(Run);

impl RunOwner {
    /// Creates a run that has not started, with these weights.
    pub fn new(name: impl Into<String>, vars: VarStore) -> Self {
        Self(Run {
            vars,
            learning_rates: Vec::new(),
            progress: RunProgress::default(),
            setup: RunSetup { name: name.into(), ..RunSetup::default() },
            pending: Vec::new(),
            pass_log: LoggedValues::default(),
        })
    }

    /// Returns the progress of the run.
    pub fn progress(&self) -> &RunProgress {
        &self.0.progress
    }

    /// Returns the progress of the run for modification.
    pub fn progress_mut(&mut self) -> &mut RunProgress {
        &mut self.0.progress
    }

    /// Returns the setup of the run for modification.
    pub fn setup_mut(&mut self) -> &mut RunSetup {
        &mut self.0.setup
    }

    /// Logs a value of a training batch, whose mean over the samples of the epoch is recorded as `train/<name>`.
    ///
    /// # Errors
    /// The name is reserved for the loss, contains a phase, or is that of a training metric.
    pub fn log_batch(&mut self, name: &str, value: f64, n_samples: usize) -> Result<()> {
        check_train_name(&self.0, name)?;
        self.0.progress.logged.add(name, value, n_samples);
        Ok(())
    }

    /// Consumes the run and returns its weights.
    pub fn into_vars(self) -> VarStore {
        self.0.vars
    }
}

impl Deref for RunOwner {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.0
    }
}

impl DerefMut for RunOwner {
    fn deref_mut(&mut self) -> &mut Run {
        &mut self.0
    }
}

/// The best epoch of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Optimizer steps up to its end.
    pub step: u64,
    /// Name of the monitored value.
    pub monitor: String,
    /// The monitored value, which is finite and strictly better than all before it.
    pub value: f64,
}

/// Lossless serialization of the history.
mod history_state {
    use faknow_metrics::History;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(history: &History, to: S) -> Result<S::Ok, S::Error> {
        history.to_state().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<History, D::Error> {
        History::from_state(&Value::deserialize(from)?).map_err(D::Error::custom)
    }
}
