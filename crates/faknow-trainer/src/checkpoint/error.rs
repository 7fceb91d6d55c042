//! Errors of reading and writing checkpoints.

use std::fmt;
use std::path::{Path, PathBuf};

use faknow_data::common::printable_path;

/// A valid checkpoint that can be used instead of one that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackCheckpoint {
    /// Its name, which is the name of its directory.
    pub name: String,
    /// The epoch in which it was written.
    pub epoch: usize,
    /// Number of optimizer steps since the start of the run.
    pub step: u64,
}

impl fmt::Display for FallbackCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (epoch {}, step {})", self.name, self.epoch, self.step)
    }
}

/// An error of reading or writing a checkpoint.
///
/// `fallback` is the newest other checkpoint of the same run of which every byte is valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// No checkpoint has this name.
    #[error("checkpoint not found: {dir}{}", remedy(fallback, ""), dir = printable_path(dir))]
    Missing {
        /// The directory of the checkpoint.
        dir: PathBuf,
        /// The newest valid checkpoint.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// A file of the checkpoint is missing.
    #[error("checkpoint {dir} is incomplete: {file} is missing{}", remedy(fallback, RESTORE), dir = printable_path(dir))]
    Incomplete {
        /// The directory of the checkpoint.
        dir: PathBuf,
        /// The name of the file.
        file: String,
        /// The newest valid checkpoint.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// The content of a file differs from what was written.
    #[error("checkpoint {dir} is corrupted: {file}: {what}{}", remedy(fallback, RESTORE), dir = printable_path(dir))]
    Corrupted {
        /// The directory of the checkpoint.
        dir: PathBuf,
        /// The name of the file.
        file: String,
        /// The reason.
        what: String,
        /// The newest valid checkpoint.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// The path is not a faknow checkpoint; it is neither read nor overwritten.
    #[error("not a faknow checkpoint: {dir}: {what}{}", remedy(fallback, MOVE), dir = printable_path(dir))]
    Foreign {
        /// The path.
        dir: PathBuf,
        /// The reason.
        what: String,
        /// The newest valid checkpoint.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// A later version of faknow wrote the checkpoint.
    #[error(
        "checkpoint {dir}: expected format version {known}, got {version}, written by {program}; use that version of \
         faknow{}", remedy(fallback, ""), dir = printable_path(dir)
    )]
    Newer {
        /// The directory of the checkpoint.
        dir: PathBuf,
        /// Its format version.
        version: u64,
        /// The newest supported format version.
        known: u64,
        /// Name and version of the program that wrote it.
        program: String,
        /// The newest valid checkpoint.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// An earlier version of faknow wrote the checkpoint.
    #[error(
        "checkpoint {dir}: expected format version {known}, got {version}, written by {program}; resume with that \
         version of faknow, or start a new run{}", remedy(fallback, ""), dir = printable_path(dir)
    )]
    Older {
        /// The directory of the checkpoint.
        dir: PathBuf,
        /// Its format version.
        version: u64,
        /// The supported format version.
        known: u64,
        /// Name and version of the program that wrote it.
        program: String,
        /// The newest valid checkpoint.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// The content cannot be saved; nothing was written.
    #[error("cannot save checkpoint {dir}: {what}", dir = printable_path(dir))]
    Unsavable {
        /// The directory of the checkpoint.
        dir: PathBuf,
        /// The reason.
        what: String,
    },
    /// A name that is not valid for a checkpoint.
    #[error(
        "checkpoint name: expected 1 to 100 characters without / \\ : * ? \" < > | and control characters, and no \
         leading dot, got `{name}`"
    )]
    InvalidName {
        /// The name.
        name: String,
    },
    /// A file or directory could not be read or written.
    #[error("{path}: {source}{}", remedy(fallback, ""), path = printable_path(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        r#source: std::io::Error,
        /// The newest valid checkpoint.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
}

const RESTORE: &str = "; restore it from a copy, or remove the directory";
const MOVE: &str = "; move it elsewhere, or use another name";

/// Returns the last part of a message: the checkpoint to use instead, else `otherwise`.
fn remedy(fallback: &Option<Box<FallbackCheckpoint>>, otherwise: &str) -> String {
    fallback.as_ref().map_or_else(
        || otherwise.to_owned(),
        |fallback| format!("; the newest valid checkpoint is {fallback}"),
    )
}

pub(super) type Result<T> = std::result::Result<T, CheckpointError>;

impl CheckpointError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Io { path, source, fallback: None }
    }

    pub(super) fn corrupted(dir: &Path, file: &str, what: impl Into<String>) -> Self {
        Self::Corrupted { dir: dir.to_path_buf(), file: file.to_owned(), what: what.into(), fallback: None }
    }

    pub(super) fn foreign(dir: &Path, what: &str) -> Self {
        Self::Foreign { dir: dir.to_path_buf(), what: what.to_owned(), fallback: None }
    }

    pub(super) fn unsavable(dir: &Path, what: impl Into<String>) -> Self {
        Self::Unsavable { dir: dir.to_path_buf(), what: what.into() }
    }

    /// Returns the newest other valid checkpoint, if the error looked for one and there is one.
    pub fn fallback(&self) -> Option<&FallbackCheckpoint> {
        match self {
            Self::Missing { fallback, .. }
            | Self::Incomplete { fallback, .. }
            | Self::Corrupted { fallback, .. }
            | Self::Foreign { fallback, .. }
            | Self::Newer { fallback, .. }
            | Self::Older { fallback, .. }
            | Self::Io { fallback, .. } => fallback.as_deref(),
            Self::Unsavable { .. } | Self::InvalidName { .. } => None,
        }
    }

    /// Adds the checkpoint to use instead; `find` is called only if the variant has a field for it.
    pub(super) fn with_fallback(mut self, find: impl FnOnce() -> Option<FallbackCheckpoint>) -> Self {
        match &mut self {
            Self::Missing { fallback, .. }
            | Self::Incomplete { fallback, .. }
            | Self::Corrupted { fallback, .. }
            | Self::Foreign { fallback, .. }
            | Self::Newer { fallback, .. }
            | Self::Older { fallback, .. }
            | Self::Io { fallback, .. } => *fallback = find().map(Box::new),
            Self::Unsavable { .. } | Self::InvalidName { .. } => {}
        }
        self
    }
}
