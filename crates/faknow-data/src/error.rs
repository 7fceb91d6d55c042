//! The error type, whose messages name the file, the record, the field, and the expected and actual values.
//!
//! In all crates, the message of an error contains its causes, so `source()` does not repeat them. Text from files is made
//! safe for terminals when a message is formatted ([`printable`](crate::common::printable)).

use std::path::PathBuf;

use crate::common::{
    OtherError, describe, printable_message, printable_name, printable_names, printable_path,
    strip_any_frames, strip_frames, torch_message,
};
use crate::from_other_errors;

/// A specialized `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `faknow-data`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", printable_path(.path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        r#source: std::io::Error,
    },
    /// A record cannot be parsed, lacks a field, or has an invalid value.
    #[error("{}: record {record}{}: {}", printable_path(.path), of_field(.field.as_deref()), printable_message(.message))]
    Record {
        /// The file.
        path: PathBuf,
        /// Number of the record, from 1, not counting a header.
        record: usize,
        /// Name of the affected field, if applicable.
        field: Option<Box<str>>,
        /// The problem, with the expected and actual values.
        message: String,
        /// Whether [`ReadOptions::skip_broken`](crate::ReadOptions::skip_broken) can skip the record.
        can_skip: bool,
    },
    /// A file is invalid: empty, without a column, in another encoding.
    #[error("{}: {}", printable_path(.path), printable_message(.message))]
    File {
        /// The file.
        path: PathBuf,
        /// The problem, with the expected and actual values.
        message: String,
    },
    /// A file lacks a column.
    #[error("{}: no such column `{}`{}", printable_path(.path), printable_name(.column), printable_message(.details))]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// Name of the column.
        column: Box<str>,
        /// The setting with this name, an entry of [`ColumnMap`](crate::ColumnMap): `columns.text`.
        setting: &'static str,
        /// The columns of the file, and a similar name among them.
        details: Box<str>,
    },
    /// A line of a vocabulary, word vector or tree file is invalid.
    #[error("{}: line {line}: {}", printable_path(.path), printable_message(.message))]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1; in a binary file of word vectors, number of the vector.
        line: usize,
        /// The problem, with the expected and actual values.
        message: String,
    },
    /// The dataset panicked while a batch was assembled.
    #[error("batch {batch} of epoch {epoch}: the dataset panicked: {message}")]
    Panic {
        /// Epoch, as passed to the loader.
        epoch: usize,
        /// Index of the batch in its epoch, from 0.
        batch: usize,
        /// Message of the panic.
        message: String,
    },
    /// A setting or argument is invalid.
    #[error("{name}: expected {}, got {}", printable_message(.expected), printable_message(.got))]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The expected value.
        expected: String,
        /// The actual value.
        got: String,
    },
    /// A batch lacks a field that a model requires.
    #[error("batch: expected the field `{field}`, which {provider} provides, got {}", field_list(.present))]
    MissingField {
        /// Name of the field.
        field: String,
        /// The API that creates batches with this field.
        provider: &'static str,
        /// Names of the fields of the batch.
        present: Vec<String>,
    },
    /// A dataset is unsuitable: empty, without a class, or an index is out of range.
    #[error("{}", printable_message(.0))]
    Dataset(String),
    /// A libtorch operation failed.
    #[error("libtorch: {}", torch_message(.0))]
    Torch(tch::TchError),
    /// An error of a custom dataset; `?` converts common error types, [`Error::other`] any error.
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
    /// Creates an [`Error::Other`] from any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(strip_any_frames(error.into()))
    }

    /// Creates an [`Error::Io`] for a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// Creates an [`Error::Line`] for a line, counted from 1.
    pub fn line(path: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self::Line { path: path.into(), line, message: message.into() }
    }

    /// Creates an [`Error::Record`] for a record, counted from 1, and optionally one of its fields.
    pub fn record(
        path: impl Into<PathBuf>,
        record: usize,
        field: Option<&str>,
        message: impl Into<String>,
    ) -> Self {
        let (path, field, message) = (path.into(), field.map(Box::from), message.into());
        Self::Record { path, record, field, message, can_skip: false }
    }

    /// Returns whether the error concerns a record that can be skipped.
    pub(crate) fn can_skip(&self) -> bool {
        matches!(self, Self::Record { can_skip: true, .. })
    }

    /// Marks the error of a record that can be skipped.
    pub(crate) fn skippable(mut self) -> Self {
        if let Self::Record { can_skip, .. } = &mut self {
            *can_skip = true;
        }
        self
    }

    /// Creates an [`Error::File`] for a file.
    pub fn file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::File { path: path.into(), message: message.into() }
    }

    /// Creates an [`Error::Setting`] for a tensor whose shape or kind is not as `expected`.
    pub(crate) fn tensor(name: &'static str, expected: &str, tensor: &tch::Tensor) -> Self {
        let got = format!("{:?} {:?}", tensor.kind(), tensor.size());
        Self::Setting { name, expected: expected.to_owned(), got }
    }
}

fn of_field(field: Option<&str>) -> String {
    field.map(|field| format!(", field `{}`", printable_name(field))).unwrap_or_default()
}

fn field_list(fields: &[String]) -> String {
    match fields {
        [] => "a batch without fields".to_owned(),
        fields => printable_names(fields),
    }
}
