//! A reader of CSV and TSV, row by row. Unlike lenient readers it rejects stray quotes, which would merge rows silently.

use std::io::{BufRead, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::input::{Input, input_error};
use crate::records::source::{MAX_RECORD_BYTES, RawRecord, ReadError, no_such_column};
use crate::records::text_reader::Utf8Reader;
use crate::records::{Delimiter, ReadOptions};
use crate::{Error, Result};

/// A reader of delimited text as specified by RFC 4180: quoted fields may contain separators, line breaks and doubled
/// quotes; rows end in LF or CRLF; empty lines are skipped.
pub(crate) struct DelimitedReader {
    path: PathBuf,
    lines: Lines,
    delimiter: Delimiter,
    quotes: bool,
    header: bool,
    columns: Vec<String>,
    /// Positions of the columns that records contain.
    selected: Vec<usize>,
    /// The first row of a file without a header, read in advance to count the columns.
    first: Option<Row>,
    /// Number of the last record.
    number: usize,
    finished: bool,
}

/// The fields of a row.
struct Row {
    /// The fields, concatenated.
    bytes: Vec<u8>,
    /// The end of each field in `bytes`.
    ends: Vec<usize>,
    /// Number of its first line, from 1.
    line: usize,
}

impl Row {
    fn n_fields(&self) -> usize {
        self.ends.len()
    }

    fn field(&self, index: usize) -> String {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let bytes = &self.bytes[start..self.ends[index]];
        // The reader passes only valid UTF-8, and separators are single ASCII bytes, so fields are valid UTF-8 too.
        std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
    }
}

impl DelimitedReader {
    pub(super) fn new(
        input: Input,
        path: &Path,
        delimiter: Delimiter,
        options: &ReadOptions,
    ) -> Result<Self> {
        let mut reader = Self {
            path: path.to_owned(),
            lines: Lines { input: Utf8Reader::new(input, options.encoding), number: 0, bytes: Vec::new() },
            delimiter,
            quotes: options.quotes,
            header: options.header,
            columns: Vec::new(),
            selected: Vec::new(),
            first: None,
            number: 0,
            finished: false,
        };
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
    /// A required column is missing or occurs twice.
    pub(super) fn select(&mut self, required: &[&str], all: bool) -> Result<()> {
        let mut selected = Vec::new();
        for &name in required {
            let Some(index) = self.columns.iter().position(|column| column == name) else {
                return Err(self.no_such_column(name));
            };
            if self.columns[index + 1..].iter().any(|column| column == name) {
                return Err(Error::file(&self.path, format!("duplicate column `{name}` in the header")));
            }
            if !selected.contains(&index) {
                selected.push(index);
            }
        }
        self.selected = if all { (0..self.columns.len()).collect() } else { selected };
        Ok(())
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn no_records(&self) -> Error {
        Error::file(&self.path, "expected records after the header, got none")
    }

    pub(super) fn next_record(&mut self) -> Result<Option<RawRecord>, ReadError> {
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
        let mut row = RowParser::new(self.delimiter.byte(), self.quotes);
        let mut start = 0;
        loop {
            let has_line =
                self.lines.advance().map_err(|error| Unreadable(input_error(&self.path, error)))?;
            let (line, number) = (&self.lines.bytes[..], self.lines.number);
            if !has_line {
                return if row.is_started { Err(unclosed_quote(row.quote_line)) } else { Ok(None) };
            }
            if !row.is_started {
                if line == b"\n" || line == b"\r\n" {
                    continue;
                }
                start = number;
            }
            let outcome = row.feed(line, number);
            if line.len().max(row.bytes.len()) > MAX_RECORD_BYTES {
                return Err(too_long(start, row.quote_line));
            }
            match outcome {
                LineOutcome::Complete => {
                    return Ok(Some(Row { bytes: row.bytes, ends: row.ends, line: start }));
                }
                LineOutcome::Incomplete => {}
                LineOutcome::TextAfterQuote { column } => {
                    return Err(text_after_quote(number, column, row.quote_line));
                }
            }
        }
    }

    fn wrong_length(&self, row: &Row) -> Error {
        let (expected, got) = (self.columns.len(), row.n_fields());
        let reference = if self.header { "as in the header" } else { "as in the first row" };
        let hint = match got > expected {
            true => format!("; a field that contains {} must be quoted", self.delimiter.described()),
            false => String::new(),
        };
        let message = format!("expected {expected} fields {reference}, got {got} (line {}){hint}", row.line);
        Error::record(&self.path, self.number, None, message)
    }

    fn no_such_column(&self, name: &str) -> Error {
        let is_number = name.parse::<usize>().is_ok();
        let separator_hint = self.columns.len() == 1 && self.columns[0].contains([',', '\t', ';']);
        let hint = match (self.header, is_number) {
            _ if separator_hint => "; does the file use another separator?",
            (true, true) => "; column numbers apply only to a file without a header",
            (false, false) => "; in a file without a header, columns are numbered from 1",
            _ => "",
        };
        let mut error = no_such_column(&self.path, name, &self.columns);
        if let Error::MissingColumn { details, .. } = &mut error {
            *details = format!("{details}{hint}").into();
        }
        error
    }
}

/// The reason why a row cannot be read.
enum RowError {
    /// A misplaced or unclosed quote, or a row that is too long.
    Malformed { message: String, is_recoverable: bool },
    /// The input cannot be read.
    Unreadable(Error),
}

use RowError::{Malformed, Unreadable};

fn unclosed_quote(quote_line: usize) -> RowError {
    let message =
        format!("unclosed quote: the quoted field that starts on line {quote_line} has no closing quote");
    Malformed { message, is_recoverable: false }
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
         expected a separator; double the quotes inside quoted fields, or disable quoting if quotes are plain \
         text in this file"
    );
    Malformed { message, is_recoverable: true }
}

/// The physical lines of a file.
struct Lines {
    input: Utf8Reader,
    /// Number of the last line, from 1.
    number: usize,
    /// The last line with its line terminator, or the start of a line that is too long.
    bytes: Vec<u8>,
}

impl Lines {
    /// Reads the next line; returns false at the end of the file.
    fn advance(&mut self) -> std::io::Result<bool> {
        self.bytes.clear();
        let limit = MAX_RECORD_BYTES as u64 + 2;
        (&mut self.input).take(limit).read_until(b'\n', &mut self.bytes)?;
        self.number += 1;
        Ok(!self.bytes.is_empty())
    }
}

/// Assembles a row from its lines.
struct RowParser {
    separator: u8,
    quotes: bool,
    state: State,
    /// The fields, concatenated.
    bytes: Vec<u8>,
    /// The end of each field in `bytes`.
    ends: Vec<usize>,
    is_started: bool,
    /// The line of the last opening quote.
    quote_line: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    AfterQuote,
}

enum LineOutcome {
    Complete,
    Incomplete,
    TextAfterQuote { column: usize },
}

impl RowParser {
    fn new(separator: u8, quotes: bool) -> Self {
        let (bytes, ends) = (Vec::new(), Vec::new());
        Self { separator, quotes, state: State::FieldStart, bytes, ends, is_started: false, quote_line: 0 }
    }

    /// Parses the next line (with its line terminator), which has the number `number`.
    fn feed(&mut self, line: &[u8], number: usize) -> LineOutcome {
        if !self.is_started {
            self.is_started = true;
            self.bytes.reserve(line.len());
        }
        let content = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut pos = 0;
        while let Some(&byte) = content.get(pos) {
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') if self.quotes => {
                    self.quote_line = number;
                    State::Quoted
                }
                (State::Quoted, b'"') => State::AfterQuote,
                (State::Quoted, _) => {
                    pos += self.take_until(&content[pos..], b'"');
                    continue;
                }
                (State::FieldStart | State::Plain | State::AfterQuote, _) if byte == self.separator => {
                    self.ends.push(self.bytes.len());
                    State::FieldStart
                }
                (State::AfterQuote, b'"') => {
                    self.bytes.push(b'"');
                    State::Quoted
                }
                (State::AfterQuote, _) => {
                    let column = String::from_utf8_lossy(&content[..pos]).chars().count() + 1;
                    return LineOutcome::TextAfterQuote { column };
                }
                (State::FieldStart | State::Plain, _) => {
                    pos += self.take_until(&content[pos..], self.separator);
                    self.state = State::Plain;
                    continue;
                }
            };
            pos += 1;
        }
        if self.state == State::Quoted {
            self.bytes.extend_from_slice(&line[content.len()..]);
            return LineOutcome::Incomplete;
        }
        self.ends.push(self.bytes.len());
        LineOutcome::Complete
    }

    /// Appends the bytes before the next `end`, or all of them; returns their number.
    fn take_until(&mut self, content: &[u8], end: u8) -> usize {
        let n = memchr::memchr(end, content).unwrap_or(content.len());
        self.bytes.extend_from_slice(&content[..n]);
        n
    }
}
