//! The state of a run: what callbacks see of it, and what the loop that owns it may change.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use faknow_metrics::{EpochRecord, History};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::nn::VarStore;

use crate::collect::check_train_name;
use crate::{FitStart, LoggedValues, Monitor, Result, Timestamp};

/// A training run as callbacks see it: where it stands, its weights, and all that it has measured so far.
///
/// A callback may read everything, may change the weights in `vars` and the `learning_rates`, and may publish numbers
/// with [`log`](Self::log). Only the loop that owns the run can move it on, see [`RunOwner`].
#[derive(Debug)]
pub struct Run {
    /// The weights, by PyTorch's names.
    pub vars: VarStore,
    /// Learning rate of each parameter group. A rate set in `on_batch_start` applies to the update of that batch.
    pub learning_rates: Vec<f64>,
    progress: RunProgress,
    setup: RunSetup,
    /// Logged by the hook that is being called.
    pub(crate) pending: Vec<(String, f64)>,
    /// Logged during the current pass over validation or test data.
    pub(crate) pass_log: LoggedValues,
}

/// Where a run stands. It is part of every checkpoint as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunProgress {
    /// The current epoch, from 1; 0 before the first.
    pub epoch: usize,
    /// Maximum number of epochs.
    pub max_epochs: usize,
    /// Batches done in this epoch.
    pub batch: usize,
    /// Batches of an epoch.
    pub n_batches: usize,
    /// Updates of the weights since the run started.
    pub step: u64,
    /// Samples trained on since the run started.
    pub samples: u64,
    /// Seconds of the fit up to the last update, those before an interruption included.
    pub seconds: f64,
    /// Updates that were skipped because their loss or gradients were not finite.
    pub skipped: u64,
    /// The best epoch so far, by the run's monitor.
    pub best: Option<Best>,
    /// Results of all epochs so far.
    #[serde(with = "history_state")]
    pub history: History,
    /// Values that callbacks and steps logged in the current epoch.
    pub logged: LoggedValues,
}

/// What is fixed at the start of a fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunSetup {
    /// Name of the run, for titles: `textcnn-20260801-120000-3f2a`.
    pub name: String,
    /// The run's own directory, if it has one.
    pub dir: Option<PathBuf>,
    /// How the fit starts.
    pub start: FitStart,
    /// The values that validation records, and which way each is better; empty without validation data.
    pub monitors: Vec<Monitor>,
    /// The value that chooses the best epoch; `None` without validation data.
    pub monitor: Option<Monitor>,
    /// Metrics of the training pass, and which way each is better.
    pub train_metrics: Vec<Monitor>,
    /// The run's settings by dotted name, for logs: `optimizer.lr`, …
    pub hyperparameters: Map<String, Value>,
}

impl Run {
    /// Publishes a number under a name: it appears in the history, `metrics.csv`, `history.jsonl`, TensorBoard, console
    /// and report, and can be monitored.
    ///
    /// | hook | recorded as | value |
    /// | --- | --- | --- |
    /// | `on_batch_start`, `on_batch_end`, a training step | `train/<name>` | mean over the samples of the epoch |
    /// | `on_fit_start`, `on_epoch_start`, `on_checkpoint`, `on_epoch_end`, `on_fit_end` | `train/<name>` | as it stands |
    /// | `on_evaluation_batch_end` | `valid/<name>` or `test/<name>` | mean over the samples of the pass |
    /// | `on_evaluation_start`, `on_evaluation_end` | `valid/<name>` or `test/<name>` | as it stands |
    ///
    /// The names `loss`, `loss/…` and those of metrics of the same phase are refused when the hook returns, as are two
    /// values of one name in `on_evaluation_end` or `on_epoch_end`. A value that is not finite is recorded as undefined.
    /// Callbacks that write files and the progress bar are called after all others at the end of an epoch or evaluation,
    /// so they have what others log there.
    pub fn log(&mut self, name: impl Into<String>, value: impl Into<f64>) {
        self.pending.push((name.into(), value.into()));
    }

    /// Returns the name of the run, for titles.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// Returns the run's own directory, if it has one.
    pub fn dir(&self) -> Option<&Path> {
        self.setup.dir.as_deref()
    }

    /// Returns how the fit started.
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

    /// Returns the number of batches done in this epoch.
    pub fn batch(&self) -> usize {
        self.progress.batch
    }

    /// Returns the number of batches of an epoch.
    pub fn n_batches(&self) -> usize {
        self.progress.n_batches
    }

    /// Returns the number of updates of the weights since the run started.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Returns the number of samples trained on since the run started.
    pub fn samples(&self) -> u64 {
        self.progress.samples
    }

    /// Returns the seconds of the fit up to the last update, those before an interruption included.
    pub fn seconds(&self) -> f64 {
        self.progress.seconds
    }

    /// Returns the number of updates that were skipped because their loss or gradients were not finite.
    pub fn skipped(&self) -> u64 {
        self.progress.skipped
    }

    /// Returns the results of all epochs so far.
    pub fn history(&self) -> &History {
        &self.progress.history
    }

    /// Returns the best epoch so far, by the run's monitor.
    pub fn best(&self) -> Option<&Best> {
        self.progress.best.as_ref()
    }

    /// Returns the newest record: of the epoch that just ended or, while an epoch is running, of the last validation
    /// inside it.
    pub fn record(&self) -> Option<&EpochRecord> {
        let History { epochs, mid_epoch } = &self.progress.history;
        let of_epoch = epochs.last().filter(|record| record.epoch == self.progress.epoch);
        let of_validation = mid_epoch.last().filter(|record| record.epoch == self.progress.epoch);
        of_epoch.or(of_validation).or(epochs.last())
    }

    /// Returns the values that validation records, and which way each is better; empty without validation data.
    pub fn monitors(&self) -> &[Monitor] {
        &self.setup.monitors
    }

    /// Returns the value that chooses the best epoch; `None` without validation data.
    pub fn monitor(&self) -> Option<&Monitor> {
        self.setup.monitor.as_ref()
    }

    /// Returns the run's settings by dotted name: `optimizer.lr`, …
    pub fn hyperparameters(&self) -> &Map<String, Value> {
        &self.setup.hyperparameters
    }

    /// Returns how far the run is, in every unit.
    pub fn timestamp(&self) -> Timestamp {
        self.progress.timestamp()
    }

    /// Returns the span that the loop enters while it works on this run: [`RunLog`](crate::RunLog) copies into the run's
    /// log what is logged through `tracing` inside it, and nothing else.
    ///
    /// ```
    /// # let run = faknow_callbacks::RunOwner::new("textcnn", tch::nn::VarStore::new(tch::Device::Cpu));
    /// let _inside = run.span().entered();
    /// tracing::warn!("this line belongs to the run");
    /// ```
    pub fn span(&self) -> tracing::Span {
        // At the highest level, so that no filter on levels hides whose run an event belongs to.
        tracing::error_span!(target: crate::logs::layer::RUN_TARGET, "run", name = %self.setup.name)
    }

    pub(crate) fn progress_mut(&mut self) -> &mut RunProgress {
        &mut self.progress
    }

    /// The record that values of a validation belong to.
    pub(crate) fn record_mut(&mut self) -> Option<&mut EpochRecord> {
        let epoch = self.progress.epoch;
        let History { epochs, mid_epoch } = &mut self.progress.history;
        let of_epoch = epochs.last_mut().filter(|record| record.epoch == epoch);
        of_epoch.or(mid_epoch.last_mut().filter(|record| record.epoch == epoch))
    }

    pub(crate) fn setup(&self) -> &RunSetup {
        &self.setup
    }
}

impl RunProgress {
    /// Returns how far the run is, in every unit.
    pub fn timestamp(&self) -> Timestamp {
        let share = if self.n_batches == 0 { 0.0 } else { self.batch as f64 / self.n_batches as f64 };
        Timestamp {
            epochs: self.epoch.saturating_sub(1) as f64 + share,
            steps: self.step,
            samples: self.samples,
            seconds: self.seconds,
        }
    }
}

/// A run together with the right to move it on: held by the loop that trains, which hands `&mut Run` to callbacks.
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
    /// Creates a run that has not started, over these weights.
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

    /// Returns where the run stands.
    pub fn progress(&self) -> &RunProgress {
        &self.0.progress
    }

    /// Returns where the run stands, to change it.
    pub fn progress_mut(&mut self) -> &mut RunProgress {
        &mut self.0.progress
    }

    /// Returns what is fixed at the start of a fit, to set it.
    pub fn setup_mut(&mut self) -> &mut RunSetup {
        &mut self.0.setup
    }

    /// Publishes a value of a training batch, recorded as `train/<name>`: its mean over the samples of the epoch.
    ///
    /// # Errors
    /// The name is that of the loss or of a training metric.
    pub fn log_batch(&mut self, name: &str, value: f64, n_samples: usize) -> Result<()> {
        check_train_name(&self.0, name)?;
        self.0.progress.logged.add(name, value, n_samples);
        Ok(())
    }

    /// Takes the weights out of the run.
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
    /// Updates of the weights up to its end.
    pub step: u64,
    /// Name of the monitored value.
    pub monitor: String,
    /// The value: strictly better than all before it, and finite.
    pub value: f64,
}

/// The history in the form that loses nothing.
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
