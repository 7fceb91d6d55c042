//! Errors of the pipeline from a config to a detector.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use faknow_data::common::{
    OtherError, describe, printable_message, printable_name, printable_path, strip_any_frames,
};
use faknow_data::from_other_errors;
use faknow_trainer::checkpoint::CheckpointError;

use crate::train::Outcome;

/// A [`Result`](std::result::Result) with the error of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the pipeline from a config to a detector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is unknown, of the wrong type, missing, or outside its range.
    #[error("{}{}", of_key(.key), printable_message(.message))]
    Config {
        /// Dotted name of the setting; empty without a setting, or if the message contains it.
        key: String,
        /// The expected and the given value.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = printable_path(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        r#source: std::io::Error,
    },
    /// A directory is not the run directory of a trained detector.
    #[error("{path}: not a run directory of a trained detector: {message}", path = printable_path(path))]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// Description of what is missing.
        message: String,
    },
    /// A data file or dataset is invalid.
    #[error(transparent)]
    Data(#[from] faknow_data::Error),
    /// The configuration of the model is invalid, or its weights do not fit.
    #[error(transparent)]
    Model(#[from] faknow_model::Error),
    /// A metric is unknown or failed.
    #[error(transparent)]
    Metric(#[from] faknow_metrics::Error),
    /// Training failed.
    #[error(transparent)]
    Trainer(#[from] faknow_trainer::Error),
    /// The configuration of a callback is invalid.
    #[error(transparent)]
    Callback(#[from] faknow_callbacks::Error),
    /// A run could not be completed, because the disk is full or fails. The run directory contains all that was saved before.
    #[error("{}", not_finished(run, source, outcome.is_some()))]
    NotFinished {
        /// The run directory.
        run: PathBuf,
        /// The error.
        r#source: Box<Error>,
        /// The result of the training and the test, if only files could not be written after them.
        outcome: Option<Box<Outcome>>,
    },
    /// Custom code failed; `?` converts common errors, and [`Error::other`] any error.
    #[error("{}", describe(&**.0))]
    Other(OtherError),
}

from_other_errors!(Error);

impl Error {
    /// Creates an [`Error::Other`] from any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(strip_any_frames(error.into()))
    }

    /// Creates an [`Error::Config`] for a setting.
    pub fn config(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { key: key.into(), message: message.into() }
    }

    /// Creates an [`Error::Io`] for a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Converts a setting error of `faknow-data` to one of the config key.
    pub(crate) fn from_data(key: &str, error: faknow_data::Error) -> Self {
        match error {
            faknow_data::Error::Setting { expected, got, .. } => {
                Self::config(key, format!("expected {expected}, got {got}"))
            }
            other => Self::Data(other),
        }
    }

    /// Converts a hyperparameter error to one of the config key in this table.
    pub(crate) fn in_table(table: &str, error: faknow_model::Error) -> Self {
        match error {
            faknow_model::Error::Config { name, expected, got, .. } => {
                Self::config(format!("{table}.{name}"), format!("expected {expected}, got {got}"))
            }
            other => Self::Model(other),
        }
    }

    /// Converts a setting error of the trainer or a callback to one of the config key.
    pub(crate) fn from_trainer(error: faknow_trainer::Error) -> Self {
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

    /// Returns whether the cause is the input (settings, files, records) rather than a failure during the run.
    pub fn is_input(&self) -> bool {
        use faknow_callbacks::Error as C;
        use faknow_trainer::Error as T;
        match self {
            Self::Config { .. } | Self::NotARun { .. } | Self::Data(_) | Self::Model(_) | Self::Metric(_) => {
                true
            }
            Self::Io { source, .. } | Self::Trainer(T::Io { source, .. }) => is_path_error(source.kind()),
            Self::Callback(C::Io { error, .. }) | Self::Trainer(T::Callback(C::Io { error, .. })) => {
                is_path_error(error.kind())
            }
            Self::Callback(_) => true,
            Self::Other(_) | Self::NotFinished { .. } => false,
            Self::Trainer(T::Checkpoint(error)) => !matches!(error, CheckpointError::Io { .. }),
            Self::Trainer(error) => matches!(
                error,
                T::Setting { .. }
                    | T::Changed { .. }
                    | T::Fixed { .. }
                    | T::ModelMismatch { .. }
                    | T::EmptyLoader { .. }
                    | T::NoLabels { .. }
                    | T::RunDir { .. }
                    | T::Schedule(_)
                    | T::Callback(_)
                    | T::Metric { .. }
            ),
        }
    }
}

impl Error {
    /// Adds how to complete a run to an error of the disk; other errors are returned as they are.
    pub(crate) fn of_run(self, run: &Path) -> Self {
        use faknow_callbacks::Error as C;
        use faknow_trainer::Error as T;
        let source = match &self {
            Self::Io { source, .. } | Self::Trainer(T::Io { source, .. }) => source,
            Self::Callback(C::Io { error, .. }) | Self::Trainer(T::Callback(C::Io { error, .. })) => error,
            Self::Trainer(T::Checkpoint(CheckpointError::Io { source, .. })) => source,
            _ => return self,
        };
        match is_path_error(source.kind()) {
            true => self,
            false => Self::NotFinished { run: run.to_path_buf(), source: Box::new(self), outcome: None },
        }
    }
}

fn of_key(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("`{}`: ", printable_name(key)) }
}

/// Returns the message of an error after which a run can be completed.
fn not_finished(run: &Path, source: &Error, has_outcome: bool) -> String {
    let done = if has_outcome { "the detector is trained, but not all files are written: " } else { "" };
    let run = printable_path(run);
    format!("{done}{source}; when the cause is removed, continue with `faknow resume {run}`")
}

/// Names of settings in errors of the trainer, which are methods of its builder, and the corresponding config keys.
const BUILDER_SETTINGS: [(&str, &str); 6] = [
    ("max_epochs", "trainer.epochs"),
    ("accumulate_grad_batches", "trainer.accumulate"),
    ("limit_batches", "trainer.limit_batches"),
    ("stop_after", "trainer.max_time"),
    ("validate_every", "trainer.validate_every"),
    ("on_non_finite", "trainer.on_non_finite"),
];

/// Returns whether the cause of an I/O error is the path rather than the disk.
fn is_path_error(kind: ErrorKind) -> bool {
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
