//! A reader of objects from a JSON array or JSON lines, one at a time, with the position of every error.

use std::io::{BufRead, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::common::printable;
use crate::input::{Input, input_error};
use crate::records::Encoding;
use crate::records::json_scan::{End, Extent, Position, locate};
use crate::records::json_shape::{UniqueKeys, of_first_byte, of_first_object};
use crate::records::source::{MAX_RECORD_BYTES, RawRecord, ReadError};
use crate::records::text_reader::Utf8Reader;
use crate::{Error, Result};

/// A reader that finds the extent of each object itself and passes only these bytes to `serde_json`, so that memory
/// holds one object, errors have a position in the file, and the objects after a broken one can be read.
pub(crate) struct JsonReader {
    path: PathBuf,
    input: Utf8Reader,
    layout: Layout,
    position: Position,
    /// Number of the last record.
    number: usize,
    finished: bool,
    columns: Vec<String>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Array,
    Lines,
    /// Objects that span lines, without commas in between.
    Objects,
}

impl JsonReader {
    /// Detects the layout by the first character: `[` starts an array, `{` JSON lines, whatever the file extension.
    pub(super) fn new(input: Input, path: &Path, encoding: Option<Encoding>) -> Result<Self> {
        let mut reader = Self {
            path: path.to_owned(),
            input: Utf8Reader::new(input, encoding),
            layout: Layout::Lines,
            position: Position { line: 1, column: 1 },
            number: 0,
            finished: false,
            columns: Vec::new(),
            bytes: Vec::new(),
        };
        match reader.skip_blanks()? {
            Some(b'{') => {}
            Some(b'[') => {
                reader.layout = Layout::Array;
                reader.consume_one();
            }
            Some(_) => {
                let start = reader.input.fill_buf().map_err(|error| input_error(path, error))?;
                return Err(Error::file(path, of_first_byte(start)));
            }
            None => return Err(Error::file(path, "the file is empty")),
        }
        Ok(reader)
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn no_records(&self) -> Error {
        Error::file(&self.path, "the JSON array is empty: expected one object per post")
    }

    pub(super) fn next_record(&mut self) -> Result<Option<RawRecord>, ReadError> {
        if self.finished {
            return Ok(None);
        }
        let element = match self.layout {
            Layout::Array => self.find_element(),
            Layout::Lines => self.find_line(),
            Layout::Objects => self.find_object(),
        };
        let start = match element {
            Ok(Some(start)) => start,
            Ok(None) => {
                self.finished = true;
                return Ok(None);
            }
            Err(error) => {
                self.finished = true;
                return Err(ReadError::fatal(error));
            }
        };
        let fields = self.parse(start).map_err(|message| ReadError::in_record(self.error(&message)))?;
        if self.number == 1
            && self.layout != Layout::Array
            && let Some(message) = of_first_object(&fields)
        {
            self.finished = true;
            return Err(ReadError::fatal(Error::file(&self.path, message)));
        }
        if self.columns.is_empty() {
            self.columns = fields.keys().cloned().collect();
        }
        Ok(Some(RawRecord { number: self.number, fields }))
    }

    /// Reads the next line that is not blank into `bytes`; returns its position.
    fn find_line(&mut self) -> Result<Option<Position>> {
        if self.skip_blanks()?.is_none() {
            return Ok(None);
        }
        self.number += 1;
        self.bytes.clear();
        let start = self.position;
        let limit = MAX_RECORD_BYTES as u64 + 1;
        (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.bytes)
            .map_err(|e| input_error(&self.path, e))?;
        if self.bytes.len() > MAX_RECORD_BYTES {
            return Err(self.too_long(start));
        }
        self.position.advance(&self.bytes);
        let n_first_line = self.bytes.len();
        // The first line shows whether objects span lines.
        let mut extent = Extent::default();
        if self.number == 1 && extent.scan(&self.bytes).1 == End::Inside {
            self.layout = Layout::Objects;
            let end = self.position;
            self.complete(extent, start)?;
            self.position = end;
            self.position.advance(&self.bytes[n_first_line..]);
        }
        if self.layout == Layout::Lines {
            // Without the line break, an unclosed string ends at the end of its line.
            while matches!(self.bytes.last(), Some(b'\n' | b'\r')) {
                self.bytes.pop();
            }
        }
        Ok(Some(start))
    }

    /// Reads the next object, which may span lines, into `bytes`; returns its position.
    fn find_object(&mut self) -> Result<Option<Position>> {
        if self.skip_blanks()?.is_none() {
            return Ok(None);
        }
        self.number += 1;
        self.bytes.clear();
        let start = self.position;
        self.complete(Extent::default(), start)?;
        self.position.advance(&self.bytes);
        Ok(Some(start))
    }

    /// Reads the next element of the array into `bytes`; returns its position.
    fn find_element(&mut self) -> Result<Option<Position>> {
        let mut next = self.skip_blanks()?;
        if self.number > 0 && next == Some(b',') {
            self.consume_one();
            next = self.skip_blanks()?;
            if next == Some(b']') {
                return Err(self.error_at(self.position, "trailing comma in the array"));
            }
        } else if self.number > 0 && !matches!(next, Some(b']') | None) {
            return Err(self.error_at(self.position, "expected `,` or `]` after this record"));
        }
        match next {
            Some(b']') => {
                self.consume_one();
                return match self.skip_blanks()? {
                    None => Ok(None),
                    Some(b'[') => {
                        let message = "another array starts here: expected one array, or one object per line";
                        Err(self.error_at(self.position, message))
                    }
                    Some(_) => {
                        Err(self.error_at(self.position, "unexpected data after the end of the array"))
                    }
                };
            }
            None => {
                let message =
                    "unexpected end of file inside the array (missing `]`): the file may be truncated";
                return Err(self.error_at(self.position, message));
            }
            Some(_) => {}
        }
        self.number += 1;
        self.bytes.clear();
        let start = self.position;
        self.complete(Extent::default(), start)?;
        self.position.advance(&self.bytes);
        Ok(Some(start))
    }

    /// Appends the rest of an element, which starts at `start`, to `bytes`.
    fn complete(&mut self, mut extent: Extent, start: Position) -> Result<()> {
        loop {
            let chunk = self.input.fill_buf().map_err(|error| input_error(&self.path, error))?;
            if chunk.is_empty() {
                return Err(self.unfinished(
                    start,
                    "unexpected end of file inside this record: the file may be truncated",
                ));
            }
            let (n_bytes, end) = extent.scan(chunk);
            self.bytes.extend_from_slice(&chunk[..n_bytes]);
            self.input.consume(n_bytes);
            match end {
                End::Inside if self.bytes.len() > MAX_RECORD_BYTES => return Err(self.too_long(start)),
                End::Inside => {}
                End::Complete => return Ok(()),
                End::LineBreakInString => {
                    return Err(
                        self.unfinished(start, "line break inside a string: the closing quote is missing")
                    );
                }
            }
        }
    }

    fn parse(&self, start: Position) -> Result<Map<String, Value>, String> {
        if self.bytes.first() != Some(&b'{') {
            let got = printable(String::from_utf8_lossy(&self.bytes).trim(), 30);
            let hint = match self.bytes.first() {
                Some(b'[') => {
                    "; write one object per post, in pandas with `to_json(path, orient=\"records\")`"
                }
                _ => "",
            };
            return Err(format!("expected an object, got `{got}` at {start}{hint}"));
        }
        serde_json::from_slice(&self.bytes).map(|UniqueKeys(fields)| fields).map_err(|error| {
            let (position, message) = locate(&error, start, &self.bytes);
            let hint = match self.layout {
                Layout::Lines if message == "trailing characters" => {
                    "; expected one object per line, or an array of objects in brackets"
                }
                Layout::Lines if error.is_eof() => "; expected one complete object per line",
                _ => "",
            };
            format!("invalid JSON at {position}: {message}{hint}")
        })
    }

    /// Returns the error for `bytes`, an unfinished element that starts at `start`: the parser's error is used where it
    /// is more specific than `message`.
    fn unfinished(&self, start: Position, message: &str) -> Error {
        match serde_json::from_slice::<Map<String, Value>>(&self.bytes) {
            Err(error) if !error.is_eof() => {
                let (position, message) = locate(&error, start, &self.bytes);
                self.error(&format!("invalid JSON at {position}: {message}"))
            }
            _ => {
                let mut end = start;
                end.advance(&self.bytes);
                self.error_at(end, message)
            }
        }
    }

    fn too_long(&self, start: Position) -> Error {
        let limit = MAX_RECORD_BYTES >> 20;
        self.error(&format!(
            "expected at most {limit} MiB per record, got more from {start} on; a quote or bracket may be unclosed"
        ))
    }

    fn error_at(&self, position: Position, message: &str) -> Error {
        self.error(&format!("invalid JSON at {position}: {message}"))
    }

    fn error(&self, message: &str) -> Error {
        Error::record(&self.path, self.number, None, message)
    }

    /// Consumes whitespace; returns the next byte, which is not consumed, or `None` at the end of the file.
    fn skip_blanks(&mut self) -> Result<Option<u8>> {
        loop {
            let chunk = self.input.fill_buf().map_err(|error| input_error(&self.path, error))?;
            let n_blanks =
                chunk.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            self.position.advance(&chunk[..n_blanks]);
            let next = chunk.get(n_blanks).copied();
            let at_end = chunk.is_empty();
            self.input.consume(n_blanks);
            if next.is_some() || at_end {
                return Ok(next);
            }
        }
    }

    fn consume_one(&mut self) {
        self.input.consume(1);
        self.position.column += 1;
    }
}
