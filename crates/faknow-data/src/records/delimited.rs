//! Reads CSV and TSV row by row. Unlike lenient readers it refuses stray quotes, which would merge rows silently.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::records::ReadOptions;
use crate::records::encoding::{Utf8Reader, input_error};
use crate::records::source::{Broken, MAX_RECORD_BYTES, RawRecord, no_such_column};
use crate::{Error, Result};

/// A reader of delimited text as in RFC 4180: fields may be quoted, and then hold separators, line breaks and doubled
/// quotes; rows end in LF or CRLF; empty lines are skipped.
pub(crate) struct DelimitedReader {
    path: PathBuf,
    lines: Lines,
    separator: u8,
    quotes: bool,
    header: bool,
    columns: Vec<String>,
    /// Positions of the columns that records hold.
    selected: Vec<usize>,
    /// The first row of a file without a header: it had to be read to count the columns.
    first: Option<Row>,
    /// Number of the last record.
    number: usize,
    finished: bool,
}

/// The fields of a row.
struct Row {
    /// One after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line that it begins on, from 1.
    line: usize,
}

impl Row {
    fn n_fields(&self) -> usize {
        self.ends.len()
    }

    fn field(&self, index: usize) -> String {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let bytes = &self.bytes[start..self.ends[index]];
        // The reader lets only UTF-8 pass, and separators are characters of their own.
        std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
    }
}

impl DelimitedReader {
    pub(super) fn new(
        reader: impl Read + Send + 'static,
        path: &Path,
        separator: u8,
        options: &ReadOptions,
    ) -> Result<Self> {
        let mut reader = Self {
            path: path.to_owned(),
            lines: Lines { input: Utf8Reader::new(reader), number: 0, bytes: Vec::new() },
            separator,
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
            Err(Stray { message, .. }) => {
                let what = if options.header { "the header is broken: " } else { "" };
                return Err(Error::file(path, format!("{what}{message}")));
            }
            Err(Failed(error)) => return Err(error),
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

    /// Makes records hold the columns `wanted`, or `all`; an error if one is not there, or there twice.
    pub(super) fn select(&mut self, wanted: &[&str], all: bool) -> Result<()> {
        let mut selected = Vec::new();
        for &name in wanted {
            let Some(index) = self.columns.iter().position(|column| column == name) else {
                return Err(self.no_such_column(name));
            };
            if self.columns[index + 1..].iter().any(|column| column == name) {
                return Err(Error::file(&self.path, format!("the header has the column `{name}` twice")));
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
        Error::file(&self.path, "the file holds a header and no records")
    }

    pub(super) fn next_record(&mut self) -> Result<Option<RawRecord>, Broken> {
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
            Err(Stray { message, recoverable }) => {
                self.number += 1;
                self.finished = !recoverable;
                let error = Error::record(&self.path, self.number, None, message);
                return Err(Broken { error, recoverable });
            }
            Err(Failed(error)) => {
                self.finished = true;
                return Err(Broken::fatal(error));
            }
        };
        self.number += 1;
        if row.n_fields() != self.columns.len() {
            return Err(Broken::record(self.wrong_length(&row)));
        }
        let mut fields = Map::with_capacity(self.selected.len());
        for &index in &self.selected {
            fields.insert(self.columns[index].clone(), Value::String(row.field(index)));
        }
        Ok(Some(RawRecord { number: self.number, fields }))
    }

    fn read_row(&mut self) -> Result<Option<Row>, RowError> {
        let mut row = RowParser::new(self.separator, self.quotes);
        let mut start = 0;
        loop {
            let more = self.lines.advance().map_err(|error| Failed(input_error(&self.path, error)))?;
            let (line, number) = (&self.lines.bytes[..], self.lines.number);
            if !more {
                return if row.begun { Err(never_closed(row.quote_line)) } else { Ok(None) };
            }
            if !row.begun {
                if line == b"\n" || line == b"\r\n" {
                    continue;
                }
                start = number;
            }
            let fed = row.feed(line, number);
            if line.len().max(row.bytes.len()) > MAX_RECORD_BYTES {
                return Err(too_long(start, row.quote_line));
            }
            match fed {
                Fed::Complete => return Ok(Some(Row { bytes: row.bytes, ends: row.ends, line: start })),
                Fed::More => {}
                Fed::TextAfterQuote { column } => {
                    return Err(text_after_quote(number, column, row.quote_line));
                }
            }
        }
    }

    fn wrong_length(&self, row: &Row) -> Error {
        let (expected, got) = (self.columns.len(), row.n_fields());
        let like = if self.header { "as in the header" } else { "as in the first row" };
        let hint = match self.separator {
            b',' if got > expected => "; a field that holds a comma must be quoted",
            b'\t' if got > expected => "; a field that holds a tab must be quoted",
            _ => "",
        };
        let message = format!("expected {expected} fields {like}, got {got} (line {}){hint}", row.line);
        Error::record(&self.path, self.number, None, message)
    }

    fn no_such_column(&self, name: &str) -> Error {
        let Error::File { path, message } = no_such_column(&self.path, name, &self.columns) else {
            return Error::file(&self.path, format!("no such column `{name}`"));
        };
        let is_number = name.parse::<usize>().is_ok();
        let separator_hint = self.columns.len() == 1 && self.columns[0].contains([',', '\t', ';']);
        let hint = match (self.header, is_number) {
            _ if separator_hint => "; are they separated by something else than the format says?",
            (true, true) => "; only a file without a header is read by column numbers",
            (false, false) => "; a file without a header is read by column numbers, from 1",
            _ => "",
        };
        Error::File { path, message: message + hint }
    }
}

/// Why a row cannot be read.
enum RowError {
    /// A quote is where none may be, or nowhere an end.
    Stray { message: String, recoverable: bool },
    /// The input failed.
    Failed(Error),
}

use RowError::{Failed, Stray};

fn never_closed(quote_line: usize) -> RowError {
    let message = format!("the quoted field that begins on line {quote_line} is never closed");
    Stray { message, recoverable: false }
}

fn too_long(line: usize, quote_line: usize) -> RowError {
    let hint = match quote_line {
        0 => String::new(),
        line => format!(": the quote on line {line} may be unclosed"),
    };
    let message = format!("it begins on line {line} and is over {} MiB long{hint}", MAX_RECORD_BYTES >> 20);
    Stray { message, recoverable: false }
}

fn text_after_quote(line: usize, column: usize, quote_line: usize) -> RowError {
    let message = format!(
        "text after a closing quote at line {line}, column {column} (the field begins on line {quote_line}): \
         expected a separator; write quotes inside quoted fields twice, or turn quoting off if quotes are plain \
         text in this file"
    );
    Stray { message, recoverable: true }
}

/// Physical lines.
struct Lines {
    input: Utf8Reader,
    /// Number of the last line, from 1.
    number: usize,
    /// The last line with its end, or the beginning of one that is too long.
    bytes: Vec<u8>,
}

impl Lines {
    /// Reads the next line; false at the end of the file.
    fn advance(&mut self) -> std::io::Result<bool> {
        self.bytes.clear();
        let limit = MAX_RECORD_BYTES as u64 + 2;
        (&mut self.input).take(limit).read_until(b'\n', &mut self.bytes)?;
        self.number += 1;
        Ok(!self.bytes.is_empty())
    }
}

/// Puts a row together from its lines.
struct RowParser {
    separator: u8,
    quotes: bool,
    state: State,
    /// The fields one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    begun: bool,
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

enum Fed {
    Complete,
    More,
    TextAfterQuote { column: usize },
}

impl RowParser {
    fn new(separator: u8, quotes: bool) -> Self {
        let (bytes, ends) = (Vec::new(), Vec::new());
        Self { separator, quotes, state: State::FieldStart, bytes, ends, begun: false, quote_line: 0 }
    }

    /// Takes the next line, with its end, whose number is `number`.
    fn feed(&mut self, line: &[u8], number: usize) -> Fed {
        if !self.begun {
            self.begun = true;
            self.bytes.reserve(line.len());
        }
        let content = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut at = 0;
        while let Some(&byte) = content.get(at) {
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') if self.quotes => {
                    self.quote_line = number;
                    State::Quoted
                }
                (State::Quoted, b'"') => State::AfterQuote,
                (State::Quoted, _) => {
                    at += self.take_until(&content[at..], b'"');
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
                    let column = String::from_utf8_lossy(&content[..at]).chars().count() + 1;
                    return Fed::TextAfterQuote { column };
                }
                (State::FieldStart | State::Plain, _) => {
                    at += self.take_until(&content[at..], self.separator);
                    self.state = State::Plain;
                    continue;
                }
            };
            at += 1;
        }
        if self.state == State::Quoted {
            self.bytes.extend_from_slice(&line[content.len()..]);
            return Fed::More;
        }
        self.ends.push(self.bytes.len());
        Fed::Complete
    }

    /// Takes all bytes before the next `end`, or all; returns how many.
    fn take_until(&mut self, content: &[u8], end: u8) -> usize {
        let n = memchr::memchr(end, content).unwrap_or(content.len());
        self.bytes.extend_from_slice(&content[..n]);
        n
    }
}
