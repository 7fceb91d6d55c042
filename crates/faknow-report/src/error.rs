//! What can go wrong when a page is made of run directories.

use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        r#source: std::io::Error,
    },
    /// A file is not what a run writes.
    #[error("{path}: the file is corrupted: {message}; copy the run directory again, or delete the file", path = path.display())]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        message: String,
    },
    /// A directory holds no run.
    #[error("{path}: not a run directory: {message}", path = path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        message: String,
    },
    /// A figure cannot be computed.
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
