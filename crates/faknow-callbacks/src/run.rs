//! The state of a run, as callbacks see it.

use std::path::PathBuf;

use faknow_metrics::History;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

use crate::{Error, Monitor, Position, Result};

/// A training run: where it stands, its weights, and all that it has measured so far.
///
/// The trainer keeps it up to date; a callback may read everything, and may change the weights in `vars` and the
/// `learning_rates`, which the optimizer takes over before its next step.
#[derive(Debug)]
pub struct Run {
    /// Name of the run, for titles: `textcnn-20260801-120000-3f2a`.
    pub name: String,
    /// The run's own folder, if it has one.
    pub dir: Option<PathBuf>,
    /// The weights, by PyTorch's names.
    pub vars: VarStore,
    /// The current epoch, from 1; 0 before the first.
    pub epoch: usize,
    /// Epochs that the run may take.
    pub max_epochs: usize,
    /// Batches done in this epoch.
    pub batch: usize,
    /// Batches of an epoch.
    pub n_batches: usize,
    /// Updates of the weights since the run began.
    pub step: u64,
    /// Samples trained on since the run began.
    pub samples: u64,
    /// Seconds of the fit up to the last update, those before an interruption included.
    pub seconds: f64,
    /// Updates that were skipped since their loss or gradients were not finite, if the run may skip them.
    pub skipped: u64,
    /// Learning rate of each parameter group.
    pub learning_rates: Vec<f64>,
    /// What validation records and which way each value is better; empty without validation data.
    pub monitors: Vec<Monitor>,
    /// What chooses the best epoch; `None` without validation data.
    pub monitor: Option<Monitor>,
    /// Results of all epochs so far.
    pub history: History,
    /// The best epoch so far, by `monitor`.
    pub best: Option<Best>,
    /// The run's settings by dotted name, for logs: `optimizer.lr`, …
    pub hyperparameters: serde_json::Map<String, serde_json::Value>,
}

impl Run {
    /// A run that has not begun, over these weights.
    pub fn new(name: impl Into<String>, vars: VarStore) -> Self {
        Self {
            name: name.into(),
            dir: None,
            vars,
            epoch: 0,
            max_epochs: 0,
            batch: 0,
            n_batches: 0,
            step: 0,
            samples: 0,
            seconds: 0.0,
            skipped: 0,
            learning_rates: Vec::new(),
            monitors: Vec::new(),
            monitor: None,
            history: History::default(),
            best: None,
            hyperparameters: serde_json::Map::new(),
        }
    }

    /// How far the run is, in every unit.
    pub fn position(&self) -> Position {
        let share = if self.n_batches == 0 { 0.0 } else { self.batch as f64 / self.n_batches as f64 };
        Position {
            epochs: self.epoch.saturating_sub(1) as f64 + share,
            steps: self.step,
            samples: self.samples,
            seconds: self.seconds,
        }
    }

    /// The span that the loop enters while it works on this run: [`RunLog`](crate::RunLog) copies into the run's
    /// log what is logged through `tracing` inside it, and nothing else.
    ///
    /// ```
    /// # use faknow_callbacks::Run;
    /// # let run = Run::new("textcnn", tch::nn::VarStore::new(tch::Device::Cpu));
    /// let _inside = run.span().entered();
    /// tracing::warn!("this line belongs to the run");
    /// ```
    pub fn span(&self) -> tracing::Span {
        // At the highest level, so that no filter on levels hides whose run an event belongs to.
        tracing::error_span!(target: crate::log_layer::RUN_TARGET, "run", name = %self.name)
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

/// A checkpoint that was just written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCheckpoint {
    /// Its name: `last`, `best`, `step-00000120`, …
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
}

/// One update of the weights, just done: from one training batch, or from those whose gradients were accumulated.
/// Its tensors lie on the device: reading one waits for the device.
#[derive(Debug)]
pub struct BatchEnd {
    /// Samples of the update.
    pub n_samples: usize,
    /// The total loss, the mean over these samples, a scalar without gradient.
    pub loss: Tensor,
    /// The parts of the loss by name, scalars without gradient.
    pub parts: Vec<(&'static str, Tensor)>,
    /// Global norm of the gradients before clipping, a scalar; present if the trainer measures it.
    pub grad_norm: Option<Tensor>,
}

impl BatchEnd {
    /// The total loss as a number; waits for the device.
    ///
    /// # Errors
    /// The loss is no scalar.
    pub fn read_loss(&self) -> Result<f64> {
        read("loss", &self.loss)
    }

    /// The parts of the loss as numbers; waits for the device.
    ///
    /// # Errors
    /// A part is no scalar.
    pub fn read_parts(&self) -> Result<Vec<(&'static str, f64)>> {
        self.parts.iter().map(|(name, part)| Ok((*name, read(name, part)?))).collect()
    }

    /// The norm of the gradients as a number, if it is measured; waits for the device.
    ///
    /// # Errors
    /// The norm is no scalar.
    pub fn read_grad_norm(&self) -> Result<Option<f64>> {
        self.grad_norm.as_ref().map(|norm| read("gradient norm", norm)).transpose()
    }
}

pub(crate) fn read(what: &str, scalar: &Tensor) -> Result<f64> {
    scalar.f_double_value(&[]).map_err(|source| Error::Tensor { what: what.to_owned(), source })
}

/// What a pass over data is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Training.
    Train,
    /// Validation after an epoch.
    Valid,
    /// The test after the last epoch.
    Test,
}
