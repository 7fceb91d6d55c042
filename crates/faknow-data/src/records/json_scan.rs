//! The extent of JSON elements in text, and positions of errors.

use crate::records::json_error::explain;

/// The state of the scan of an element.
#[derive(Default)]
pub(super) struct Extent {
    depth: usize,
    in_string: bool,
    escaped: bool,
    is_started: bool,
}

#[derive(PartialEq, Eq)]
pub(super) enum End {
    Inside,
    Complete,
    LineBreakInString,
}

impl Extent {
    /// Scans `chunk`; returns the number of bytes that belong to the element, and whether it ended.
    pub(super) fn scan(&mut self, chunk: &[u8]) -> (usize, End) {
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
                // The end of a number or a word; at least one byte is consumed, so that the reader makes progress.
                b',' | b']' | b' ' | b'\t' | b'\r' | b'\n' if self.depth == 0 && self.is_started => {
                    return (index, End::Complete);
                }
                _ => {}
            }
            self.is_started = true;
        }
        (chunk.len(), End::Inside)
    }
}

/// A position in a file: line and column, both from 1; columns count characters.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// Moves the position after `bytes`.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        match bytes.iter().rposition(|&byte| byte == b'\n') {
            None => self.column += n_characters(bytes),
            Some(last) => {
                self.line += bytes[..=last].iter().filter(|&&byte| byte == b'\n').count();
                self.column = 1 + n_characters(&bytes[last + 1..]);
            }
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "line {}, column {}", self.line, self.column)
    }
}

/// Returns the position in the file of an error in `bytes`, which start at `start`, and the message without the
/// position relative to `bytes`.
pub(super) fn locate(error: &serde_json::Error, start: Position, bytes: &[u8]) -> (Position, String) {
    let line = bytes.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let n_before = n_characters(&line[..error.column().saturating_sub(1).min(line.len())]);
    let position = match error.line() {
        0 | 1 => Position { line: start.line, column: start.column + n_before },
        later => Position { line: start.line + later - 1, column: 1 + n_before },
    };
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    (position, explain(&message[..end], line, error.column().saturating_sub(1)))
}

fn n_characters(bytes: &[u8]) -> usize {
    // Every byte except continuation bytes (10xxxxxx) starts a character.
    bytes.iter().filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000).count()
}
