//! What can go wrong with data, said with the file, the record, the field and what was expected.
//!
//! The errors of all crates have one rule: an error's text contains its causes, so `source()` repeats none of them.

use std::path::PathBuf;

use crate::common::{OtherError, describe, strip_frames, torch_message};
use crate::from_other_errors;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `faknow-data`.
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
    /// A record does not parse, lacks a field, or holds a value of the wrong kind.
    #[error("{path}: record {record}{}: {message}", field.as_ref().map(|f| format!(", field `{f}`")).unwrap_or_default(), path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Number of the record, from 1, the header not counted.
        record: usize,
        /// Name of the field, where one is to blame.
        field: Option<String>,
        /// What was wrong and what would be right.
        message: String,
    },
    /// A whole file is not what it should be (empty, no such column, wrong encoding).
    #[error("{path}: {message}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong and what would be right.
        message: String,
    },
    /// A line of a vocabulary or word vector file is not what it should be.
    #[error("{path}: line {line}: {message}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1; of the vector in a binary file of word vectors.
        line: usize,
        /// What was wrong and what would be right.
        message: String,
    },
    /// The code that assembles a batch panicked; the program goes on.
    #[error("batch {batch} of epoch {epoch}: its assembly panicked: {message}")]
    Panic {
        /// Epoch, as given to the loader.
        epoch: usize,
        /// Number of the batch in its epoch, from 0.
        batch: usize,
        /// What the panic said.
        message: String,
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
    /// A batch lacks a field that a model reads.
    #[error("batch: expected the field `{field}`, which {provider} provides, got {}", listed(.present))]
    MissingField {
        /// Name of the field.
        field: String,
        /// What makes batches with this field.
        provider: &'static str,
        /// Names of the fields that the batch has.
        present: Vec<String>,
    },
    /// A data set cannot serve its purpose (empty, a class missing, an index out of range).
    #[error("{0}")]
    Dataset(String),
    /// libtorch refused an operation.
    #[error("libtorch: {}", torch_message(.0))]
    Torch(tch::TchError),
    /// A custom data set failed; `?` makes it of any common error, [`Error::other`] of every error.
    #[error("{}", describe(&**.0))]
    Other(OtherError),
}

from_other_errors!(Error);

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(strip_frames(error))
    }
}

impl Error {
    /// An [`Error::Other`] of any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(error.into())
    }

    /// An [`Error::Io`] of this file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// An [`Error::Line`] of this line, counted from 1.
    pub fn line(path: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self::Line { path: path.into(), line, message: message.into() }
    }

    /// An [`Error::Record`] of this file, where `field` is to blame if it is given.
    pub fn record(
        path: impl Into<PathBuf>,
        record: usize,
        field: Option<&str>,
        message: impl Into<String>,
    ) -> Self {
        Self::Record { path: path.into(), record, field: field.map(str::to_owned), message: message.into() }
    }

    /// An [`Error::File`] of this file.
    pub fn file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::File { path: path.into(), message: message.into() }
    }

    /// Returns an [`Error::Setting`] about a tensor of another shape or kind than `expected`.
    pub(crate) fn tensor(name: &'static str, expected: &str, tensor: &tch::Tensor) -> Self {
        let got = format!("{:?} {:?}", tensor.kind(), tensor.size());
        Self::Setting { name, expected: expected.to_owned(), got }
    }
}

fn listed(fields: &[String]) -> String {
    match fields {
        [] => "a batch without fields".to_owned(),
        fields => format!("`{}`", fields.join("`, `")),
    }
}
