//! Arguments of hooks: start and end of a fit, batches, progress of evaluations, checkpoints.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Result, StopReason};

/// How a fit starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FitStart {
    /// From scratch, or as another fit of the same run.
    #[default]
    New,
    /// From a checkpoint, or from scratch after the run was killed before its first checkpoint. Records of later steps are
    /// invalid.
    Resumed,
    /// From the last checkpoint, in the middle of a fit. Records of later steps are invalid.
    RolledBack,
}

/// The end of a fit: its stop reason, or the error that it failed with.
pub type FitEnd<'a> = std::result::Result<&'a StopReason, &'a (dyn std::error::Error + 'static)>;

/// The purpose of a pass over data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Training.
    Train,
    /// Validation after an epoch or within one.
    Valid,
    /// Test after training.
    Test,
}

/// The progress of a pass over validation or test data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassProgress {
    /// Number of completed batches.
    pub batch: usize,
    /// Number of batches of the pass.
    pub n_batches: usize,
    /// Number of samples of the last completed batch.
    pub n_samples: usize,
}

/// A checkpoint that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCheckpoint {
    /// Its name: `last`, `best`, `step-00000120`, …
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
}

/// A completed update of the weights, from one training batch or from the batches whose gradients were accumulated.
///
/// Its tensors are on the device of the model; reading one synchronizes with the device.
#[derive(Debug)]
pub struct BatchEnd {
    /// Number of samples of the update.
    pub n_samples: usize,
    /// The total loss, averaged over these samples; a scalar without gradient.
    pub loss: Tensor,
    /// The parts of the loss by name; scalars without gradient.
    pub parts: Vec<(&'static str, Tensor)>,
    /// Global norm of the gradients before clipping; a scalar, `None` if the trainer does not measure it.
    pub grad_norm: Option<Tensor>,
}

impl BatchEnd {
    /// Returns the total loss as a number; synchronizes with the device.
    ///
    /// # Errors
    /// The loss is not a scalar.
    pub fn read_loss(&self) -> Result<f64> {
        read_scalar("loss", &self.loss)
    }

    /// Returns the parts of the loss as numbers; synchronizes with the device.
    ///
    /// # Errors
    /// A part is not a scalar.
    pub fn read_parts(&self) -> Result<Vec<(&'static str, f64)>> {
        self.parts.iter().map(|(name, part)| Ok((*name, read_scalar(name, part)?))).collect()
    }

    /// Returns the gradient norm as a number, `None` if it is not measured; synchronizes with the device.
    ///
    /// # Errors
    /// The norm is not a scalar.
    pub fn read_grad_norm(&self) -> Result<Option<f64>> {
        self.grad_norm.as_ref().map(|norm| read_scalar("gradient norm", norm)).transpose()
    }
}

/// Returns the value of a scalar tensor.
pub(crate) fn read_scalar(name: &str, scalar: &Tensor) -> Result<f64> {
    scalar.f_double_value(&[]).map_err(|error| Error::tensor(name, error))
}
