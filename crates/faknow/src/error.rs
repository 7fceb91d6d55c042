//! What can go wrong between a config and a trained detector.

use std::io::ErrorKind;
use std::path::PathBuf;

use faknow_data::common::{OtherError, describe};
use faknow_data::from_other_errors;
use faknow_trainer::checkpoint::CheckpointError;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the pipeline from a config to a detector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is unknown, of the wrong type, missing, or outside its range.
    #[error("{}{message}", if key.is_empty() { String::new() } else { format!("`{key}`: ") })]
    Config {
        /// The setting by its dotted name; empty if the message names it.
        key: String,
        /// What was wrong and what would be right.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        r#source: std::io::Error,
    },
    /// A directory is not the run directory of a trained detector.
    #[error("{path}: not a run directory of a trained detector: {message}", path = path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        message: String,
    },
    /// The data is wrong.
    #[error(transparent)]
    Data(#[from] faknow_data::Error),
    /// The model is ill-configured, or its weights do not fit.
    #[error(transparent)]
    Model(#[from] faknow_model::Error),
    /// A metric is unknown or fails.
    #[error(transparent)]
    Metric(#[from] faknow_metrics::Error),
    /// Training failed.
    #[error(transparent)]
    Trainer(#[from] faknow_trainer::Error),
    /// A callback is ill-configured.
    #[error(transparent)]
    Callback(#[from] faknow_callbacks::Error),
    /// Custom code failed; `?` makes it of any common error, [`Error::other`] of every error.
    #[error("{}", describe(&**.0))]
    Other(OtherError),
}

from_other_errors!(Error);

impl Error {
    /// An [`Error::Other`] of any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(error.into())
    }

    /// An [`Error::Config`] of this setting.
    pub fn config(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { key: key.into(), message: message.into() }
    }

    /// An [`Error::Io`] of this file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// A setting of a lower layer under the name that it has in a config.
    pub(crate) fn setting(key: &str, error: faknow_data::Error) -> Self {
        match error {
            faknow_data::Error::Setting { expected, got, .. } => {
                Self::config(key, format!("expected {expected}, got {got}"))
            }
            other => Self::Data(other),
        }
    }

    /// A hyperparameter under the name that it has in this table of a config.
    pub(crate) fn in_table(table: &str, error: faknow_model::Error) -> Self {
        match error {
            faknow_model::Error::Config { name, expected, got, .. } => {
                Self::config(format!("{table}.{name}"), format!("expected {expected}, got {got}"))
            }
            other => Self::Model(other),
        }
    }

    /// A setting of the trainer or of a callback under the name that it has in a config.
    pub(crate) fn named(error: faknow_trainer::Error) -> Self {
        match error {
            faknow_trainer::Error::Setting { name, expected, got } => {
                let key = BUILDER_SETTINGS.iter().find(|(method, _)| *method == name);
                let key = key.map_or(name, |(_, key)| (*key).to_owned());
                Self::config(key, format!("expected {expected}, got {got}"))
            }
            faknow_trainer::Error::Callback(faknow_callbacks::Error::Setting { name, expected, got }) => {
                Self::config(name, format!("expected {expected}, got {got}"))
            }
            other => Self::Trainer(other),
        }
    }

    /// Whether what the user gave (settings, files, records) is to blame, rather than the course of the run.
    pub fn is_input(&self) -> bool {
        use faknow_trainer::Error as T;
        match self {
            Self::Config { .. } | Self::NotARun { .. } | Self::Data(_) | Self::Model(_) | Self::Metric(_) => {
                true
            }
            Self::Io { source, .. } | Self::Trainer(T::Io { source, .. }) => is_wrong_path(source.kind()),
            Self::Callback(_) => true,
            Self::Other(_) => false,
            Self::Trainer(T::Checkpoint(error)) => !matches!(error, CheckpointError::Io { .. }),
            Self::Trainer(error) => matches!(
                error,
                T::Setting { .. }
                    | T::Changed { .. }
                    | T::ModelMismatch { .. }
                    | T::EmptyLoader { .. }
                    | T::NoLabels { .. }
                    | T::RunDir { .. }
                    | T::Schedule(_)
                    | T::Callback(_)
                    | T::Metric(_)
            ),
        }
    }
}

/// Methods of the trainer's builder, by which the trainer names its settings, and the keys of a config that they come from.
const BUILDER_SETTINGS: [(&str, &str); 6] = [
    ("max_epochs", "trainer.epochs"),
    ("accumulate_grad_batches", "trainer.accumulate"),
    ("limit_batches", "trainer.limit_batches"),
    ("stop_after", "trainer.max_time"),
    ("validate_every", "trainer.validate_every"),
    ("on_non_finite", "trainer.on_non_finite"),
];

/// Whether another path would help, rather than another disk.
fn is_wrong_path(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(
        kind,
        K::NotFound
            | K::PermissionDenied
            | K::IsADirectory
            | K::NotADirectory
            | K::InvalidData
            | K::InvalidFilename
    )
}
