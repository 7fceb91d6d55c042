//! What can go wrong in a model.

use std::path::PathBuf;

use faknow_data::common::{OtherError, describe, strip_frames, torch_message};
use faknow_data::from_other_errors;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `faknow-model`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyperparameter is outside its range.
    #[error("{model}: `{name}`: expected {expected}, got {got}")]
    Config {
        /// The model or layer.
        model: &'static str,
        /// Name of the hyperparameter.
        name: &'static str,
        /// What would be right.
        expected: String,
        /// What was given.
        got: String,
    },
    /// A batch does not fit the model.
    #[error("{model}: batch: expected {expected}, got {got}")]
    Batch {
        /// The model.
        model: &'static str,
        /// What would be right.
        expected: String,
        /// What was given.
        got: String,
    },
    /// Labels that are no class of the model.
    #[error("labels outside the classes: the model has {n_classes} classes (0..={}), the batch holds labels {min}..={max}", n_classes - 1)]
    Labels {
        /// Number of classes of the model.
        n_classes: i64,
        /// Smallest label of the batch.
        min: i64,
        /// Largest label of the batch.
        max: i64,
    },
    /// A file of weights does not fit the model.
    #[error("{path}: these weights do not fit the model: {}", report.join("; "), path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// Missing, unexpected and mismatched names, a phrase each.
        report: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        r#source: std::io::Error,
    },
    /// A file of weights could not be read at all.
    #[error("{path}: cannot read weights: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that cannot be saved.
    #[error("tensor `{tensor}` {reason}")]
    UnsupportedTensor {
        /// Its name.
        tensor: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// Bytes in memory that are no weights.
    #[error("cannot read weights: {reason}")]
    Bytes {
        /// What is wrong with them.
        reason: String,
    },
    /// What a batch holds cannot be used.
    #[error(transparent)]
    Data(#[from] faknow_data::Error),
    /// libtorch refused an operation.
    #[error("libtorch: {}", torch_message(.0))]
    Torch(tch::TchError),
    /// A custom model failed; `?` makes it of any common error, [`Error::other`] of every error.
    #[error("{}", describe(&**.0))]
    Other(OtherError),
}

from_other_errors!(Error);

impl Error {
    /// An [`Error::Other`] of any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(error.into())
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(strip_frames(error))
    }
}
