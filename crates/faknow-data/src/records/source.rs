//! Raw records of any format: their fields as JSON values, before columns are mapped to text, label and domain.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::common::{is_invisible, printable_name, printable_names};
use crate::input::{Input, input_error, input_name};
use crate::records::delimited::DelimitedReader;
#[cfg(feature = "excel")]
use crate::records::excel;
use crate::records::json::JsonReader;
#[cfg(feature = "parquet")]
use crate::records::parquet_file;
#[cfg(any(feature = "excel", feature = "parquet"))]
use crate::records::table::TableReader;
use crate::records::text_reader::Utf8Reader;
use crate::records::{Delimiter, Encoding, Format, ReadOptions};
use crate::{Error, Result};

/// Maximum size of a record; a longer one is taken for an unclosed quote or bracket.
pub(super) const MAX_RECORD_BYTES: usize = 64 << 20;

/// The fields of a record by column.
pub(crate) struct RawRecord {
    /// Its position in the file, from 1.
    pub(crate) number: usize,
    pub(crate) fields: Map<String, Value>,
}

/// The error for a record that cannot be read.
pub(crate) struct ReadError {
    pub(crate) error: Error,
    /// Whether the records after it can be read.
    pub(crate) is_recoverable: bool,
}

impl ReadError {
    /// Creates an error after which nothing can be read.
    pub(super) fn fatal(error: Error) -> Self {
        Self { error, is_recoverable: false }
    }

    /// Creates an error that concerns one record only.
    pub(super) fn in_record(error: Error) -> Self {
        Self { error: error.skippable(), is_recoverable: true }
    }
}

/// A reader of raw records in any format.
pub(crate) enum Source {
    Json(JsonReader),
    Delimited(DelimitedReader),
    #[cfg(any(feature = "excel", feature = "parquet"))]
    Table(TableReader),
}

/// Calls a method of the reader.
macro_rules! of_reader {
    ($source:expr, $reader:ident => $call:expr) => {
        match $source {
            Source::Json($reader) => $call,
            Source::Delimited($reader) => $call,
            #[cfg(any(feature = "excel", feature = "parquet"))]
            Source::Table($reader) => $call,
        }
    };
}

/// Opens a file of records; the returned options contain its format, given or determined by the extension.
pub(crate) fn open_file(path: &Path, options: &ReadOptions) -> Result<(Input, Format, ReadOptions)> {
    let format = options.format.map_or_else(|| Format::from_path(path), Ok)?;
    Ok((Input::open(path)?, format, ReadOptions { format: Some(format), ..options.clone() }))
}

/// Reads the start of a text file, up to the last line break if it is longer; returns whether it is the entire file.
pub(crate) fn read_start(path: &Path, encoding: Option<Encoding>, max_bytes: u64) -> Result<(String, bool)> {
    let mut bytes = Vec::new();
    let reader = Utf8Reader::new(Input::open(path)?, encoding);
    reader.take(max_bytes).read_to_end(&mut bytes).map_err(|error| input_error(path, error))?;
    let is_complete = (bytes.len() as u64) < max_bytes;
    if !is_complete && let Some(end) = bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.truncate(end + 1);
    }
    // Only a character at the end of a long line can be incomplete.
    Ok((String::from_utf8_lossy(&bytes).into_owned(), is_complete))
}

impl Source {
    /// Creates a reader.
    ///
    /// # Errors
    /// The input is empty, is not text or has another encoding, has another format, or an option does not apply to its format.
    pub(crate) fn new(input: Input, path: &Path, options: &ReadOptions) -> Result<Self> {
        let path = &input_name(path);
        let format = options.format.unwrap_or(Format::Jsonl);
        check_options(format, options).map_err(|message| Error::file(path, message))?;
        match format {
            Format::Csv => DelimitedReader::new(input, path, Delimiter::COMMA, options).map(Self::Delimited),
            Format::Tsv => DelimitedReader::new(input, path, Delimiter::TAB, options).map(Self::Delimited),
            Format::Json | Format::Jsonl => JsonReader::new(input, path, options.encoding).map(Self::Json),
            #[cfg(feature = "excel")]
            Format::Excel => excel::open(input, path, options).map(Self::Table),
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet_file::open(input, path).map(Self::Table),
            #[cfg(not(all(feature = "excel", feature = "parquet")))]
            other => {
                let name = if other == Format::Excel { "excel" } else { "parquet" };
                let message = format!(
                    "this program was built without the cargo feature `{name}`, which reads such files"
                );
                Err(Error::file(path, message))
            }
        }
    }

    /// Sets the required columns, and whether `all` others are read too; objects have all.
    pub(crate) fn select(&mut self, required: &[&str], all: bool) -> Result<()> {
        match self {
            Self::Json(_) => Ok(()),
            Self::Delimited(delimited) => delimited.select(required, all),
            #[cfg(any(feature = "excel", feature = "parquet"))]
            Self::Table(table) => table.select(required, all),
        }
    }

    /// Returns the next record, or `None` at the end.
    pub(crate) fn next_record(&mut self) -> Result<Option<RawRecord>, ReadError> {
        of_reader!(self, reader => reader.next_record())
    }

    /// Returns the names of the columns; those of JSON are known after the first record.
    pub(crate) fn columns(&self) -> &[String] {
        of_reader!(self, reader => reader.columns())
    }

    /// Returns the error for a file without records.
    pub(crate) fn no_records(&self) -> Error {
        of_reader!(self, reader => reader.no_records())
    }
}

/// Checks that options apply to the format of a file.
fn check_options(format: Format, options: &ReadOptions) -> Result<(), String> {
    let is_delimited = matches!(format, Format::Csv | Format::Tsv);
    let is_text = !matches!(format, Format::Excel | Format::Parquet);
    match (options.delimiter, options.encoding) {
        (Some(delimiter), _) if !is_delimited => {
            Err(format!("`delimiter = {delimiter}` applies to CSV and TSV files, got another format"))
        }
        (_, Some(encoding)) if !is_text => {
            Err(format!("`encoding = {encoding}` applies to text files, got a spreadsheet or Parquet"))
        }
        _ => Ok(()),
    }
}

/// Returns the positions of the columns of `required`, which `find` finds by name, or of `all` columns.
///
/// # Errors
/// `find` fails, or a column that is read occurs twice.
pub(super) fn select_columns(
    path: &Path,
    columns: &[String],
    required: &[&str],
    all: bool,
    find: impl Fn(&str) -> Result<usize>,
) -> Result<Vec<usize>> {
    let mut selected = Vec::new();
    for &name in required {
        let index = find(name)?;
        check_unique(path, columns, index)?;
        if !selected.contains(&index) {
            selected.push(index);
        }
    }
    if all {
        selected = (0..columns.len()).collect();
        selected.iter().try_for_each(|&index| check_unique(path, columns, index))?;
    }
    Ok(selected)
}

/// Returns an error if the column at `index` has the same name as another one.
fn check_unique(path: &Path, columns: &[String], index: usize) -> Result<()> {
    let name = &columns[index];
    let same = columns.iter().enumerate().filter(|(_, column)| *column == name);
    let positions: Vec<String> = same.map(|(index, _)| (index + 1).to_string()).collect();
    if positions.len() < 2 {
        return Ok(());
    }
    let (name, positions) = (printable_name(name), positions.join(" and "));
    let message =
        format!("the header has the column `{name}` more than once, as columns {positions}: rename them");
    Err(Error::file(path, message))
}

/// Returns the error for a column that is not among `columns`.
pub(super) fn no_such_column(path: &Path, required: &str, columns: &[String]) -> Error {
    let details =
        format!("{}: the columns are {}", similar_column(required, columns), printable_names(columns)).into();
    Error::MissingColumn { path: path.to_owned(), column: required.into(), setting: "columns", details }
}

/// Returns a hint at a column whose name differs in case, spaces or invisible characters only.
fn similar_column(required: &str, columns: &[String]) -> String {
    let plain = |name: &str| -> String {
        let shown = name.chars().filter(|&it| !it.is_whitespace() && !is_invisible(it));
        shown.flat_map(char::to_lowercase).collect()
    };
    let Some(similar) = columns.iter().find(|name| plain(name) == plain(required)) else {
        return String::new();
    };
    let name = printable_name(similar);
    match similar.chars().find(|&it| is_invisible(it)) {
        Some(invisible) => format!(
            " (did you mean `{name}`? It contains the invisible character U+{:04X}; remove it from the file)",
            u32::from(invisible)
        ),
        None => format!(" (did you mean `{name}`?)"),
    }
}
