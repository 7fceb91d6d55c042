//! Raw records of any format: their fields as JSON values, before anybody says what they mean.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::records::delimited::DelimitedReader;
use crate::records::json::JsonReader;
use crate::records::{Format, ReadOptions};
use crate::{Error, Result};

/// The longest record that is read; a longer one is taken for an unclosed quote or bracket.
pub(super) const MAX_RECORD_BYTES: usize = 64 << 20;

/// The fields of a record, by column.
pub(crate) struct RawRecord {
    /// Its place in the file, from 1.
    pub(crate) number: usize,
    pub(crate) fields: Map<String, Value>,
}

/// A record that cannot be read.
pub(crate) struct Broken {
    pub(crate) error: Error,
    /// Whether the next record can still be found.
    pub(crate) recoverable: bool,
}

impl Broken {
    /// Nothing after this can be read.
    pub(super) fn fatal(error: Error) -> Self {
        Self { error, recoverable: false }
    }

    /// Only this record cannot be read.
    pub(super) fn record(error: Error) -> Self {
        Self { error, recoverable: true }
    }
}

/// Raw records of a file in whatever format.
pub(crate) enum Source {
    Json(JsonReader),
    Delimited(DelimitedReader),
}

/// Opens a file of records, and settles its format in the options: the one given, or the one that its ending names.
pub(crate) fn open_file(path: &Path, options: &ReadOptions) -> Result<(File, Format, ReadOptions)> {
    let format = options.format.map_or_else(|| Format::from_path(path), Ok)?;
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    Ok((file, format, ReadOptions { format: Some(format), ..options.clone() }))
}

impl Source {
    /// Starts reading; an empty file and one in another encoding are errors.
    pub(crate) fn new(
        reader: impl Read + Send + 'static,
        path: &Path,
        options: &ReadOptions,
    ) -> Result<Self> {
        match options.format {
            Some(Format::Csv) => DelimitedReader::new(reader, path, b',', options).map(Self::Delimited),
            Some(Format::Tsv) => DelimitedReader::new(reader, path, b'\t', options).map(Self::Delimited),
            Some(Format::Json | Format::Jsonl) | None => JsonReader::new(reader, path).map(Self::Json),
        }
    }

    /// Says which columns must be there, and whether the others are needed too.
    pub(crate) fn select(&mut self, wanted: &[&str], all: bool) -> Result<()> {
        match self {
            Self::Json(json) => {
                json.require(wanted);
                Ok(())
            }
            Self::Delimited(delimited) => delimited.select(wanted, all),
        }
    }

    /// The next record, `None` at the end.
    pub(crate) fn next_record(&mut self) -> Result<Option<RawRecord>, Broken> {
        match self {
            Self::Json(json) => json.next_record(),
            Self::Delimited(delimited) => delimited.next_record(),
        }
    }

    /// Names of the columns; those of JSON are known after the first record.
    pub(crate) fn columns(&self) -> &[String] {
        match self {
            Self::Json(json) => json.columns(),
            Self::Delimited(delimited) => delimited.columns(),
        }
    }

    /// The error for a file without records.
    pub(crate) fn no_records(&self) -> Error {
        match self {
            Self::Json(json) => json.no_records(),
            Self::Delimited(delimited) => delimited.no_records(),
        }
    }
}

/// The error for a column that is not among `columns`.
pub(super) fn no_such_column(path: &Path, wanted: &str, columns: &[String]) -> Error {
    let names = columns.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let near = columns.iter().find(|name| name.to_lowercase() == wanted.to_lowercase());
    let hint = near.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    Error::file(path, format!("no such column `{wanted}`{hint}: the columns are {names}"))
}
