//! What can be wrong with a checkpoint, and which one to use instead.

use std::fmt;
use std::path::{Path, PathBuf};

/// A checkpoint that can be read, to resume from when another one cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackCheckpoint {
    /// Its name, which is its directory's.
    pub name: String,
    /// The epoch that it was written in.
    pub epoch: usize,
    /// Optimizer steps since the run began.
    pub step: u64,
}

impl fmt::Display for FallbackCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (epoch {}, step {})", self.name, self.epoch, self.step)
    }
}

/// Why a checkpoint could not be written, found or trusted.
///
/// `fallback` is the newest other checkpoint of the same run that was read in full and found valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is no checkpoint of that name.
    #[error("there is no checkpoint {dir}{}", instead(fallback, ""), dir = dir.display())]
    Missing {
        /// Where it would be.
        dir: PathBuf,
        /// The newest good one.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// A file of the checkpoint is not there.
    #[error("checkpoint {dir} is incomplete: {file} is missing{}", instead(fallback, COPY), dir = dir.display())]
    Incomplete {
        /// The checkpoint.
        dir: PathBuf,
        /// The file's name.
        file: String,
        /// The newest good one.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// A file of the checkpoint does not hold what was written to it.
    #[error("checkpoint {dir} is corrupted: {file} {what}{}", instead(fallback, COPY), dir = dir.display())]
    Corrupted {
        /// The checkpoint.
        dir: PathBuf,
        /// The file's name.
        file: String,
        /// What is wrong with it.
        what: String,
        /// The newest good one.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// Something else than a checkpoint of faknow is there; it is neither read nor overwritten.
    #[error("not a faknow checkpoint: {dir}: {what}{}", instead(fallback, MOVE), dir = dir.display())]
    Foreign {
        /// What is there.
        dir: PathBuf,
        /// How that shows.
        what: String,
        /// The newest good one.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// A later version of faknow wrote the checkpoint.
    #[error(
        "checkpoint {dir} has format {version}, written by {program}, but this program knows formats up to {known}: \
         use that version of faknow{}", instead(fallback, ""), dir = dir.display()
    )]
    Newer {
        /// The checkpoint.
        dir: PathBuf,
        /// Its format.
        version: u64,
        /// The newest format that this program knows.
        known: u64,
        /// Name and version of the program that wrote it.
        program: String,
        /// The newest good one.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// An earlier version of faknow wrote the checkpoint.
    #[error(
        "checkpoint {dir} has format {version}, written by {program}, but this program reads format {known}: resume \
         with that version of faknow, or start a new run{}", instead(fallback, ""), dir = dir.display()
    )]
    Older {
        /// The checkpoint.
        dir: PathBuf,
        /// Its format.
        version: u64,
        /// The format that this program reads.
        known: u64,
        /// Name and version of the program that wrote it.
        program: String,
        /// The newest good one.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
    /// What was asked for cannot be a checkpoint; nothing was written.
    #[error("checkpoint {dir} cannot be saved: {what}", dir = dir.display())]
    Unsavable {
        /// Where it would be.
        dir: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A name that no checkpoint can have.
    #[error(
        "`{name}` cannot be a checkpoint's name: expected 1 to 100 characters other than / \\ : * ? \" < > | and \
         control characters, the first no dot"
    )]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The system could not read or write a file or directory.
    #[error("{path}: {source}{}", instead(fallback, ""), path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        r#source: std::io::Error,
        /// The newest good one.
        fallback: Option<Box<FallbackCheckpoint>>,
    },
}

const COPY: &str = "; restore it from a copy, or remove the directory";
const MOVE: &str = "; move it elsewhere, or use another name";

fn instead(fallback: &Option<Box<FallbackCheckpoint>>, otherwise: &str) -> String {
    fallback
        .as_ref()
        .map_or_else(|| otherwise.to_owned(), |fallback| format!("; the newest good one is {fallback}"))
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

    /// The newest good other checkpoint, if one was looked for and found.
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

    /// Names the checkpoint to use instead, which is looked for only if this error has room for it.
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
