//! What can be wrong with a checkpoint, and which one to use instead.

use std::fmt;
use std::path::{Path, PathBuf};

/// A checkpoint that is good, to go on from when another is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Good {
    /// Its name, which is its folder's.
    pub name: String,
    /// The epoch that it was written in.
    pub epoch: usize,
    /// Optimizer steps since the run began.
    pub step: u64,
}

impl fmt::Display for Good {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (epoch {}, step {})", self.name, self.epoch, self.step)
    }
}

/// Why a checkpoint could not be written, found or trusted.
///
/// `good` is the newest other checkpoint of the same run that was read in full and found to be good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is no checkpoint of that name.
    #[error("there is no checkpoint {folder}{}", instead(good, ""), folder = folder.display())]
    Missing {
        /// Where it would be.
        folder: PathBuf,
        /// The newest good one.
        good: Option<Box<Good>>,
    },
    /// A file of the checkpoint is not there.
    #[error("checkpoint {folder} is incomplete: {file} is missing{}", instead(good, COPY), folder = folder.display())]
    Incomplete {
        /// The checkpoint.
        folder: PathBuf,
        /// The file's name.
        file: String,
        /// The newest good one.
        good: Option<Box<Good>>,
    },
    /// A file of the checkpoint does not hold what was written to it.
    #[error("checkpoint {folder} is damaged: {file} {what}{}", instead(good, COPY), folder = folder.display())]
    Damaged {
        /// The checkpoint.
        folder: PathBuf,
        /// The file's name.
        file: String,
        /// What is wrong with it.
        what: String,
        /// The newest good one.
        good: Option<Box<Good>>,
    },
    /// Something else than a checkpoint of faknow is there; it is neither read nor overwritten.
    #[error("{folder} is no checkpoint of faknow: {what}{}", instead(good, MOVE), folder = folder.display())]
    Foreign {
        /// What is there.
        folder: PathBuf,
        /// How that shows.
        what: String,
        /// The newest good one.
        good: Option<Box<Good>>,
    },
    /// A later version of faknow wrote the checkpoint.
    #[error(
        "checkpoint {folder} has format {version}, written by {program}, but this program knows formats up to {known}: \
         use that version of faknow{}", instead(good, ""), folder = folder.display()
    )]
    Newer {
        /// The checkpoint.
        folder: PathBuf,
        /// Its format.
        version: u64,
        /// The newest format that this program knows.
        known: u64,
        /// Name and version of the program that wrote it.
        program: String,
        /// The newest good one.
        good: Option<Box<Good>>,
    },
    /// What was asked for cannot be a checkpoint; nothing was written.
    #[error("checkpoint {folder} cannot be saved: {what}", folder = folder.display())]
    Unsavable {
        /// Where it would be.
        folder: PathBuf,
        /// What is wrong and what would be right.
        what: String,
    },
    /// A name that no checkpoint can have.
    #[error(
        "`{name}` cannot be a checkpoint's name: expected 1 to 100 characters other than / \\ : * ? \" < > | and \
         control characters, the first no dot"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The system could not read or write a file or folder.
    #[error("{path}: {source}{}", instead(good, ""), path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
        /// The newest good one.
        good: Option<Box<Good>>,
    },
}

const COPY: &str = "; restore it from a copy, or remove the folder";
const MOVE: &str = "; move it elsewhere, or use another name";

fn instead(good: &Option<Box<Good>>, otherwise: &str) -> String {
    good.as_ref().map_or_else(|| otherwise.to_owned(), |good| format!("; the newest good one is {good}"))
}

pub(super) type Result<T> = std::result::Result<T, CheckpointError>;

impl CheckpointError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        |source| Self::Io { path, source, good: None }
    }

    pub(super) fn damaged(folder: &Path, file: &str, what: impl Into<String>) -> Self {
        Self::Damaged { folder: folder.to_path_buf(), file: file.to_owned(), what: what.into(), good: None }
    }

    pub(super) fn foreign(folder: &Path, what: &str) -> Self {
        Self::Foreign { folder: folder.to_path_buf(), what: what.to_owned(), good: None }
    }

    pub(super) fn unsavable(folder: &Path, what: impl Into<String>) -> Self {
        Self::Unsavable { folder: folder.to_path_buf(), what: what.into() }
    }

    /// The newest good other checkpoint, if one was looked for and found.
    pub fn good(&self) -> Option<&Good> {
        match self {
            Self::Missing { good, .. }
            | Self::Incomplete { good, .. }
            | Self::Damaged { good, .. }
            | Self::Foreign { good, .. }
            | Self::Newer { good, .. }
            | Self::Io { good, .. } => good.as_deref(),
            Self::Unsavable { .. } | Self::Name { .. } => None,
        }
    }

    /// Names the checkpoint to use instead, which is looked for only if this error has room for it.
    pub(super) fn with_good(mut self, find: impl FnOnce() -> Option<Good>) -> Self {
        match &mut self {
            Self::Missing { good, .. }
            | Self::Incomplete { good, .. }
            | Self::Damaged { good, .. }
            | Self::Foreign { good, .. }
            | Self::Newer { good, .. }
            | Self::Io { good, .. } => *good = find().map(Box::new),
            Self::Unsavable { .. } | Self::Name { .. } => {}
        }
        self
    }
}
