//! A reader of CSV and TSV, row by row. Unlike lenient readers it rejects stray quotes, which would merge rows silently.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::input::{Content, Input, input_error};
use crate::records::lines::Lines;
use crate::records::rows::{LineOutcome, Quoting, Row, RowParser};
use crate::records::source::{MAX_RECORD_BYTES, RawRecord, ReadError, no_such_column, select_columns};
use crate::records::text_reader::Utf8Reader;
use crate::records::{Delimiter, Encoding, ReadOptions};
use crate::{Error, Result};

/// Size of the text in which a row is searched that needs quoting.
const MAX_SEARCHED_BYTES: usize = 64 << 20;

/// A reader of delimited text as specified by RFC 4180: quoted fields may contain separators, line breaks and doubled
/// quotes; empty lines are skipped. The first line may be Excel's `sep=;`.
pub(crate) struct DelimitedReader {
    path: PathBuf,
    /// What opens the input again, and its encoding.
    reopens: (Option<PathBuf>, Option<Encoding>),
    lines: Lines,
    delimiter: Delimiter,
    quotes: bool,
    header: bool,
    columns: Vec<String>,
    /// Positions of the columns that records contain.
    selected: Vec<usize>,
    /// The first row of a file without a header, read in advance to count the columns.
    first: Option<Row>,
    /// Whether a row needs quoting, so that quotes are not plain text.
    needs_quotes: bool,
    /// Number of the last record.
    number: usize,
    finished: bool,
}

impl DelimitedReader {
    pub(crate) fn new(input: Input, path: &Path, default: Delimiter, options: &ReadOptions) -> Result<Self> {
        let reopens = (input.path().map(Path::to_path_buf), options.encoding);
        let mut reader = Self {
            path: path.to_owned(),
            reopens,
            lines: Lines::new(Utf8Reader::new(input, options.encoding)),
            delimiter: options.delimiter.unwrap_or(default),
            quotes: options.quotes,
            header: options.header,
            columns: Vec::new(),
            selected: Vec::new(),
            first: None,
            needs_quotes: false,
            number: 0,
            finished: false,
        };
        let start = reader.lines.peek().map_err(|error| input_error(path, error))?;
        if let Some(content @ Content::Json) = Content::recognize(start) {
            return Err(Error::file(path, content.message()));
        }
        if let Some(delimiter) = separator_line(start) {
            reader.delimiter = options.delimiter.unwrap_or(delimiter);
            reader.lines.advance().map_err(|error| input_error(path, error))?;
        }
        let first = match reader.read_row() {
            Ok(Some(first)) => first,
            Ok(None) => return Err(Error::file(path, "the file is empty")),
            Err(Malformed { message, .. }) => {
                let prefix = if options.header { "invalid header: " } else { "" };
                return Err(Error::file(path, format!("{prefix}{message}")));
            }
            Err(Unreadable(error)) => return Err(error),
        };
        let number = |index: usize| (index + 1).to_string();
        if options.header {
            let name = |index: usize| match first.field(index).trim() {
                "" => number(index),
                name => name.to_owned(),
            };
            reader.columns = (0..first.n_fields()).map(name).collect();
        } else {
            reader.columns = (0..first.n_fields()).map(number).collect();
            reader.first = Some(first);
        }
        reader.selected = (0..reader.columns.len()).collect();
        Ok(reader)
    }

    /// Restricts records to the columns `required`, or includes `all`.
    ///
    /// # Errors
    /// A required column is missing, or a column that is read occurs twice.
    pub(super) fn select(&mut self, required: &[&str], all: bool) -> Result<()> {
        self.selected = select_columns(&self.path, &self.columns, required, all, |name| {
            let index = self.columns.iter().position(|column| column == name);
            index.ok_or_else(|| self.no_such_column(name))
        })?;
        Ok(())
    }

    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn no_records(&self) -> Error {
        Error::file(&self.path, "expected records after the header, got none")
    }

    pub(crate) fn next_record(&mut self) -> Result<Option<RawRecord>, ReadError> {
        if self.finished {
            return Ok(None);
        }
        let row = match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.read_row(),
        };
        let row = match row {
            Ok(Some(row)) => row,
            Ok(None) => {
                self.finished = true;
                return Ok(None);
            }
            Err(Malformed { message, is_recoverable }) => {
                self.number += 1;
                self.finished = !is_recoverable;
                let error = Error::record(&self.path, self.number, None, message);
                return Err(ReadError { error, is_recoverable });
            }
            Err(Unreadable(error)) => {
                self.finished = true;
                return Err(ReadError::fatal(error));
            }
        };
        self.number += 1;
        match row.quoting {
            Quoting::Needed => self.needs_quotes = true,
            Quoting::Doubtful if !self.needs_quotes => {
                self.needs_quotes = self.has_row_with_quotes();
                if !self.needs_quotes {
                    return Err(ReadError::in_record(self.merged(&row)));
                }
            }
            Quoting::Doubtful | Quoting::Unknown => {}
        }
        if row.n_fields() != self.columns.len() {
            return Err(ReadError::in_record(self.wrong_length(&row)));
        }
        let mut fields = Map::with_capacity(self.selected.len());
        for &index in &self.selected {
            fields.insert(self.columns[index].clone(), Value::String(row.field(index)));
        }
        Ok(Some(RawRecord { number: self.number, fields }))
    }

    fn read_row(&mut self) -> Result<Option<Row>, RowError> {
        let n_expected = if self.needs_quotes { 0 } else { self.columns.len() };
        let parser = RowParser::new(self.delimiter.byte(), self.quotes, n_expected);
        read_row(&mut self.lines, parser, &self.path)
    }

    /// Returns whether a row of the file has the number of columns only with quotes, so that they are not plain text.
    fn has_row_with_quotes(&self) -> bool {
        let (Some(path), encoding) = &self.reopens else { return false };
        let Ok(input) = Input::open(path) else { return false };
        let mut lines = Lines::new(Utf8Reader::new(input, *encoding));
        let mut n_bytes = 0;
        while n_bytes < MAX_SEARCHED_BYTES {
            let parser = RowParser::new(self.delimiter.byte(), self.quotes, self.columns.len());
            match read_row(&mut lines, parser, &self.path) {
                Ok(Some(row)) if row.quoting == Quoting::Needed => return true,
                Ok(Some(row)) => n_bytes += row.n_bytes(),
                Ok(None) | Err(_) => return false,
            }
        }
        false
    }

    fn merged(&self, row: &Row) -> Error {
        let (first, last, n) = (row.line, row.line + row.n_lines - 1, self.columns.len());
        let message = format!(
            "a quoted field merges lines {first} to {last} into one record, but each of these lines has {n} fields if quotes \
             are plain text: read such a file with `quotes = false`"
        );
        Error::record(&self.path, self.number, None, message)
    }

    fn wrong_length(&self, row: &Row) -> Error {
        let (expected, got) = (self.columns.len(), row.n_fields());
        let reference = if self.header { "as in the header" } else { "as in the first row" };
        let hint = match got > expected {
            true if row.is_empty_from(expected) => "; the line ends in empty fields".to_owned(),
            true => format!("; a field that contains {} must be quoted", self.delimiter.described()),
            false => "; a field that contains a line break must be quoted".to_owned(),
        };
        let message = format!("expected {expected} fields {reference}, got {got} (line {}){hint}", row.line);
        Error::record(&self.path, self.number, None, message)
    }

    fn no_such_column(&self, name: &str) -> Error {
        let is_number = name.parse::<usize>().is_ok();
        let others = [Delimiter::COMMA, Delimiter::TAB, Delimiter::SEMICOLON, Delimiter::PIPE];
        let only = self.columns.first().filter(|_| self.columns.len() == 1);
        let separator = only.and_then(|only| others.iter().find(|other| only.contains(other.byte() as char)));
        let hint = match (self.header, is_number, separator) {
            (_, _, Some(other)) => format!("; does the file use another separator? `delimiter = {other}`"),
            (true, true, _) => "; column numbers apply only to a file without a header".to_owned(),
            (false, false, _) => "; in a file without a header, columns are numbered from 1".to_owned(),
            _ => String::new(),
        };
        let mut error = no_such_column(&self.path, name, &self.columns);
        if let Error::MissingColumn { details, .. } = &mut error {
            *details = format!("{details}{hint}").into();
        }
        error
    }
}

/// Returns the separator that Excel writes in the first line of a file, as in `sep=;`.
fn separator_line(start: &[u8]) -> Option<Delimiter> {
    let end = memchr::memchr2(b'\r', b'\n', start).unwrap_or(start.len());
    let line = start.get(..end)?;
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, separator) = line.split_at_checked(4)?;
    let separator = std::str::from_utf8(separator).ok().filter(|it| it.len() == 1)?;
    name.eq_ignore_ascii_case(b"sep=").then_some(separator)?.parse().ok()
}

/// Reads the lines of the next row, skipping empty lines.
fn read_row(lines: &mut Lines, mut row: RowParser, path: &Path) -> Result<Option<Row>, RowError> {
    let mut start = 0;
    loop {
        let has_line = lines.advance().map_err(|error| Unreadable(input_error(path, error)))?;
        let (content, number) = (lines.content(), lines.number);
        if !has_line {
            return if row.is_started() { Err(unclosed_quote(row.quote_line)) } else { Ok(None) };
        }
        if !row.is_started() {
            if content.is_empty() {
                continue;
            }
            start = number;
        }
        if let Some(position) = memchr::memchr(0, content) {
            return Err(zero_byte(content, position, number, !row.is_started()));
        }
        let outcome = row.feed(content, &lines.bytes[content.len()..], number);
        if lines.bytes.len().max(row.n_bytes()) > MAX_RECORD_BYTES {
            return Err(too_long(start, row.quote_line));
        }
        match outcome {
            LineOutcome::Complete => return Ok(Some(row.into_row())),
            LineOutcome::Incomplete => {}
            LineOutcome::TextAfterQuote { column } => {
                return Err(text_after_quote(number, column, row.quote_line));
            }
        }
    }
}

/// The reason why a row cannot be read.
enum RowError {
    /// A misplaced or unclosed quote, a zero byte, or a row that is too long.
    Malformed { message: String, is_recoverable: bool },
    /// The input cannot be read.
    Unreadable(Error),
}

use RowError::{Malformed, Unreadable};

fn unclosed_quote(quote_line: usize) -> RowError {
    let message = format!(
        "unclosed quote: the quoted field that starts on line {quote_line} has no closing quote; if quotes are plain text \
         in this file, read it with `quotes = false`"
    );
    Malformed { message, is_recoverable: false }
}

fn zero_byte(content: &[u8], position: usize, line: usize, is_recoverable: bool) -> RowError {
    let column = String::from_utf8_lossy(&content[..position]).chars().count() + 1;
    let message = format!("zero byte at line {line}, column {column}: the file is corrupt, or not text");
    Malformed { message, is_recoverable }
}

fn too_long(line: usize, quote_line: usize) -> RowError {
    let hint = match quote_line {
        0 => String::new(),
        line => format!("; the quote on line {line} may be unclosed"),
    };
    let message = format!(
        "expected at most {} MiB per record, got more from line {line} on{hint}",
        MAX_RECORD_BYTES >> 20
    );
    Malformed { message, is_recoverable: false }
}

fn text_after_quote(line: usize, column: usize, quote_line: usize) -> RowError {
    let message = format!(
        "text after a closing quote at line {line}, column {column} (the field starts on line {quote_line}): \
         expected a separator; double the quotes inside quoted fields, or, if quotes are plain text in this file, read it \
         with `quotes = false`"
    );
    Malformed { message, is_recoverable: true }
}
