//! Reads objects from a JSON array or from JSON lines, one at a time, with the place of every error.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::records::encoding::{Utf8Reader, input_error};
use crate::records::source::{Broken, MAX_RECORD_BYTES, RawRecord, no_such_column};
use crate::{Error, Result};

/// Finds the extent of each object itself and gives only that to `serde_json`: so memory holds one object, errors
/// have their place in the file, and a broken object does not hide those after it.
pub(crate) struct JsonReader {
    path: PathBuf,
    input: Utf8Reader,
    layout: Layout,
    place: Place,
    /// Number of the last record.
    number: usize,
    finished: bool,
    required: Vec<String>,
    columns: Vec<String>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Array,
    Lines,
}

impl JsonReader {
    /// Looks at the first character: `[` begins an array, `{` the first of the lines, whatever the file's ending.
    pub(super) fn new(reader: impl Read + Send + 'static, path: &Path) -> Result<Self> {
        let mut reader = Self {
            path: path.to_owned(),
            input: Utf8Reader::new(reader),
            layout: Layout::Lines,
            place: Place { line: 1, column: 1 },
            number: 0,
            finished: false,
            required: Vec::new(),
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
                let message = "expected JSON, that is `[` or `{` at its beginning; is it in another format?";
                return Err(Error::file(path, message));
            }
            None => return Err(Error::file(path, "the file is empty")),
        }
        Ok(reader)
    }

    /// Columns that the first record must have.
    pub(super) fn require(&mut self, wanted: &[&str]) {
        self.required = wanted.iter().map(|&name| name.to_owned()).collect();
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn no_records(&self) -> Error {
        Error::file(&self.path, "the JSON array is empty: expected objects in it, one for each post")
    }

    pub(super) fn next_record(&mut self) -> Result<Option<RawRecord>, Broken> {
        if self.finished {
            return Ok(None);
        }
        let found = match self.layout {
            Layout::Array => self.find_element(),
            Layout::Lines => self.find_line(),
        };
        let start = match found {
            Ok(Some(start)) => start,
            Ok(None) => {
                self.finished = true;
                return Ok(None);
            }
            Err(error) => {
                self.finished = true;
                return Err(Broken::fatal(error));
            }
        };
        let fields = self.parse(start).map_err(|message| Broken::record(self.error(&message)))?;
        if self.columns.is_empty() {
            self.columns = fields.keys().cloned().collect();
            if let Some(missing) = self.required.iter().find(|&name| !fields.contains_key(name)) {
                self.finished = true;
                return Err(Broken::fatal(no_such_column(&self.path, missing, &self.columns)));
            }
        }
        Ok(Some(RawRecord { number: self.number, fields }))
    }

    /// Puts the next line that is not blank into `bytes`; returns where it begins.
    fn find_line(&mut self) -> Result<Option<Place>> {
        if self.skip_blanks()?.is_none() {
            return Ok(None);
        }
        self.number += 1;
        self.bytes.clear();
        let start = self.place;
        let limit = MAX_RECORD_BYTES as u64 + 1;
        (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.bytes)
            .map_err(|e| input_error(&self.path, e))?;
        if self.bytes.len() > MAX_RECORD_BYTES {
            return Err(self.too_long(start));
        }
        self.place.advance(&self.bytes);
        Ok(Some(start))
    }

    /// Puts the next element of the array into `bytes`; returns where it begins.
    fn find_element(&mut self) -> Result<Option<Place>> {
        let mut next = self.skip_blanks()?;
        if self.number > 0 && next == Some(b',') {
            self.consume_one();
            next = self.skip_blanks()?;
            if next == Some(b']') {
                return Err(self.error_at(self.place, "a comma before the end of the array"));
            }
        } else if self.number > 0 && !matches!(next, Some(b']') | None) {
            return Err(self.error_at(self.place, "expected `,` or `]` after it"));
        }
        match next {
            Some(b']') => {
                self.consume_one();
                return match self.skip_blanks()? {
                    None => Ok(None),
                    Some(_) => Err(self.error_at(self.place, "expected nothing after the end of the array")),
                };
            }
            None => {
                let message = "the file ends before its array does (no `]`): it may be cut off";
                return Err(self.error_at(self.place, message));
            }
            Some(_) => {}
        }
        self.number += 1;
        self.bytes.clear();
        let start = self.place;
        let mut extent = Extent::default();
        loop {
            let chunk = self.input.fill_buf().map_err(|error| input_error(&self.path, error))?;
            if chunk.is_empty() {
                return Err(self.unfinished(start, "the file ends inside this record: it may be cut off"));
            }
            let (n_bytes, end) = extent.scan(chunk);
            self.bytes.extend_from_slice(&chunk[..n_bytes]);
            self.input.consume(n_bytes);
            match end {
                End::Inside if self.bytes.len() > MAX_RECORD_BYTES => return Err(self.too_long(start)),
                End::Inside => {}
                End::Complete => break,
                End::LineBreakInString => {
                    return Err(
                        self.unfinished(start, "a line break inside a string: its closing quote is missing")
                    );
                }
            }
        }
        self.place.advance(&self.bytes);
        Ok(Some(start))
    }

    fn parse(&self, start: Place) -> Result<Map<String, Value>, String> {
        if self.bytes.first() != Some(&b'{') {
            let got: String = String::from_utf8_lossy(&self.bytes).trim().chars().take(30).collect();
            return Err(format!("expected an object, got `{got}` at {start}"));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| {
            let (place, message) = locate(&error, start, &self.bytes);
            // A file that begins with an object of several lines is one object, not lines of them.
            let hint = match self.layout {
                Layout::Lines if error.is_eof() && self.number == 1 => {
                    "; expected an array of objects, or a whole object on every line"
                }
                _ => "",
            };
            format!("broken JSON at {place}: {message}{hint}")
        })
    }

    /// The error for `bytes`, which begin at `start` and never come to an end: the parser may know better why.
    fn unfinished(&self, start: Place, message: &str) -> Error {
        match serde_json::from_slice::<Map<String, Value>>(&self.bytes) {
            Err(error) if !error.is_eof() => {
                let (place, message) = locate(&error, start, &self.bytes);
                self.error(&format!("broken JSON at {place}: {message}"))
            }
            _ => {
                let mut end = start;
                end.advance(&self.bytes);
                self.error_at(end, message)
            }
        }
    }

    fn too_long(&self, start: Place) -> Error {
        let limit = MAX_RECORD_BYTES >> 20;
        self.error(&format!(
            "it begins at {start} and is over {limit} MiB long: a quote or bracket may be unclosed"
        ))
    }

    fn error_at(&self, place: Place, message: &str) -> Error {
        self.error(&format!("broken JSON at {place}: {message}"))
    }

    fn error(&self, message: &str) -> Error {
        Error::record(&self.path, self.number, None, message)
    }

    /// The first byte after blanks, which are consumed; `None` at the end of the file.
    fn skip_blanks(&mut self) -> Result<Option<u8>> {
        loop {
            let chunk = self.input.fill_buf().map_err(|error| input_error(&self.path, error))?;
            let n_blanks =
                chunk.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
            self.place.advance(&chunk[..n_blanks]);
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
        self.place.column += 1;
    }
}

/// How far the scan of an element has come.
#[derive(Default)]
struct Extent {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

#[derive(PartialEq, Eq)]
enum End {
    Inside,
    Complete,
    LineBreakInString,
}

impl Extent {
    /// Follows the element through `chunk`; returns how many of its bytes belong to it, and whether it ended.
    fn scan(&mut self, chunk: &[u8]) -> (usize, End) {
        for (index, &byte) in chunk.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return (index + 1, End::Complete);
                        }
                    }
                    b'\n' => return (index, End::LineBreakInString),
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (index + 1, End::Complete);
                    }
                }
                // The end of a number or a word; at least one byte is taken, so that the reader moves on.
                b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 && self.begun => {
                    return (index, End::Complete);
                }
                _ => {}
            }
            self.begun = true;
        }
        (chunk.len(), End::Inside)
    }
}

/// A place in a file: line and column from 1, the column in characters.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn advance(&mut self, bytes: &[u8]) {
        match bytes.iter().rposition(|&byte| byte == b'\n') {
            None => self.column += n_characters(bytes),
            Some(last) => {
                self.line += bytes[..=last].iter().filter(|&&byte| byte == b'\n').count();
                self.column = 1 + n_characters(&bytes[last + 1..]);
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "line {}, column {}", self.line, self.column)
    }
}

/// Where in the file an error of `bytes` is, which begin at `start`, and its message without its own place.
fn locate(error: &serde_json::Error, start: Place, bytes: &[u8]) -> (Place, String) {
    let line = bytes.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let n_before = n_characters(&line[..error.column().saturating_sub(1).min(line.len())]);
    let place = match error.line() {
        0 | 1 => Place { line: start.line, column: start.column + n_before },
        later => Place { line: start.line + later - 1, column: 1 + n_before },
    };
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    (place, message[..end].to_owned())
}

fn n_characters(bytes: &[u8]) -> usize {
    // Every byte but those that continue a character (10xxxxxx) begins one.
    bytes.iter().filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000).count()
}
