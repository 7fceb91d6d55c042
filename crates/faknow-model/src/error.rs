//! Errors of models and of files of weights.

use std::path::PathBuf;

use faknow_data::common::{
    OtherError, describe, printable_path, strip_any_frames, strip_frames, torch_message,
};
use faknow_data::from_other_errors;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `faknow-model`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyperparameter is out of range.
    #[error("{model}: `{name}`: expected {expected}, got {got}")]
    Config {
        /// The model or layer.
        model: &'static str,
        /// The hyperparameter.
        name: &'static str,
        /// The expected value.
        expected: String,
        /// The actual value.
        got: String,
    },
    /// A batch does not fit the model.
    #[error("{model}: batch: expected {expected}, got {got}")]
    Batch {
        /// The model.
        model: &'static str,
        /// The expected value.
        expected: String,
        /// The actual value.
        got: String,
    },
    /// Labels are not classes of the model.
    #[error("labels: expected 0..={} ({n_classes} classes), got {min}..={max}", n_classes - 1)]
    Labels {
        /// The number of classes of the model.
        n_classes: i64,
        /// The smallest label of the batch.
        min: i64,
        /// The largest label of the batch.
        max: i64,
    },
    /// Weights do not fit the model.
    #[error("{path}: the weights do not fit the model: {}", report.join("; "), path = printable_path(path))]
    Weights {
        /// The file.
        path: PathBuf,
        /// Missing, unexpected and mismatched names, one phrase each.
        report: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = printable_path(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        r#source: std::io::Error,
    },
    /// A file of weights is corrupted or not supported.
    #[error("{path}: cannot read weights: {reason}", path = printable_path(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        reason: String,
    },
    /// A tensor cannot be saved.
    #[error("tensor `{tensor}`: {reason}")]
    UnsupportedTensor {
        /// The name of the tensor.
        tensor: String,
        /// What was expected, and the remedy.
        reason: String,
    },
    /// Bytes in memory are not valid weights.
    #[error("cannot read weights: {reason}")]
    Bytes {
        /// What is wrong.
        reason: String,
    },
    /// The content of a batch is invalid.
    #[error(transparent)]
    Data(#[from] faknow_data::Error),
    /// libtorch rejected an operation.
    #[error("libtorch: {}", torch_message(.0))]
    Torch(tch::TchError),
    /// A custom model failed; `?` converts common errors, [`Error::other`] any error.
    #[error("{}", describe(&**.0))]
    Other(OtherError),
}

from_other_errors!(Error);

impl Error {
    /// Creates an [`Error::Other`] from any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(strip_any_frames(error.into()))
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(strip_frames(error))
    }
}
