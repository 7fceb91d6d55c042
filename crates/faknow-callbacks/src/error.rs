//! What can go wrong in a callback.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a callback; it ends the run, and what was computed and written before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The monitored value is not among those that validation records.
    #[error("monitor `{name}`: no such validation value; known: {}", known.join(", "))]
    UnknownMonitor {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// Something needs validation, but the run has no validation data.
    #[error("{needed_by} needs validation data; give `fit` a validation loader")]
    NoValidation {
        /// What needs it.
        needed_by: String,
    },
    /// A setting is outside its range.
    #[error("{name}: expected {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// What would be right.
        expected: String,
        /// What was given.
        got: String,
    },
    /// Something writes into the run's folder, but the run has none.
    #[error("{needed_by}: the run has no folder to write to; give the run one, or this callback a path")]
    NoRunDir {
        /// What needs it.
        needed_by: String,
    },
    /// A tensor could not be read.
    #[error("{what}: {source}")]
    Tensor {
        /// What it holds.
        what: String,
        /// What libtorch said.
        #[source]
        source: tch::TchError,
    },
    /// Another subscriber gets this process's log already.
    #[error("the console log cannot be set up: {0}")]
    Console(#[from] tracing_subscriber::util::TryInitError),
    /// Whatever else a user's own callback reports.
    #[error("{callback}: {message}")]
    Custom {
        /// Name of the callback.
        callback: String,
        /// Its words.
        message: String,
    },
}

impl Error {
    /// An [`Error::Io`] of this file or folder.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
