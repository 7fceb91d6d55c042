//! The errors of this crate.

use std::path::{Path, PathBuf};

/// A `Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error in reading run directories or rendering a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system error.
        r#source: std::io::Error,
    },
    /// A file does not have the expected content.
    #[error("{path}: the file is corrupted: {message}", path = path.display())]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// The problem with its location in the file, and the remedy.
        message: String,
    },
    /// A file that the run has written is missing.
    #[error("{path}: the file is missing; {remedy}", path = path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// The command or option that helps.
        remedy: String,
    },
    /// A directory is not a run directory.
    #[error("{path}: not a run directory: {message}", path = path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// The missing part.
        message: String,
    },
    /// A metric cannot be computed.
    #[error(transparent)]
    Metric(#[from] faknow_metrics::Error),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn corrupted(path: &Path, message: impl ToString) -> Self {
        Self::Corrupted { path: path.to_path_buf(), message: message.to_string() }
    }
}
