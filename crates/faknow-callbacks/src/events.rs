//! What hooks receive besides the run: how a fit starts and ends, batches, passes, checkpoints.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Result, StopReason};

/// How a fit starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FitStart {
    /// From scratch, or as a further fit of the same run.
    #[default]
    New,
    /// From a checkpoint, or again because the run was killed before its first one. Everything recorded of later steps is
    /// void.
    Resumed,
    /// In the middle of a fit: the run went back to its last checkpoint. Everything recorded of later steps is void.
    RolledBack,
}

/// How a fit ended: the reason why it stopped, or the error that it failed with.
pub type FitEnd<'a> = std::result::Result<&'a StopReason, &'a (dyn std::error::Error + 'static)>;

/// What a pass over data is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Training.
    Train,
    /// Validation after an epoch, or inside one.
    Valid,
    /// The test after the last epoch.
    Test,
}

/// How far a pass over validation or test data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassProgress {
    /// Batches done.
    pub batch: usize,
    /// Batches of the pass.
    pub n_batches: usize,
    /// Samples of the batch that was just done.
    pub n_samples: usize,
}

/// A checkpoint that was just written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCheckpoint {
    /// Its name: `last`, `best`, `step-00000120`, …
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
}

/// One update of the weights, just done: from one training batch, or from those whose gradients were accumulated.
/// Its tensors are on the device: reading one waits for the device.
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
    /// Returns the total loss as a number; waits for the device.
    ///
    /// # Errors
    /// The loss is not a scalar.
    pub fn read_loss(&self) -> Result<f64> {
        read("loss", &self.loss)
    }

    /// Returns the parts of the loss as numbers; waits for the device.
    ///
    /// # Errors
    /// A part is not a scalar.
    pub fn read_parts(&self) -> Result<Vec<(&'static str, f64)>> {
        self.parts.iter().map(|(name, part)| Ok((*name, read(name, part)?))).collect()
    }

    /// Returns the norm of the gradients as a number, if it is measured; waits for the device.
    ///
    /// # Errors
    /// The norm is not a scalar.
    pub fn read_grad_norm(&self) -> Result<Option<f64>> {
        self.grad_norm.as_ref().map(|norm| read("gradient norm", norm)).transpose()
    }
}

pub(crate) fn read(what: &str, scalar: &Tensor) -> Result<f64> {
    scalar.f_double_value(&[]).map_err(|error| Error::Tensor { what: what.to_owned(), error })
}
