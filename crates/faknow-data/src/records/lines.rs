//! The physical lines of a text file, with the line breaks of Unix, Windows and old Mac programs.

use std::io::{self, BufRead, Read as _};

use crate::records::source::MAX_RECORD_BYTES;
use crate::records::text_reader::Utf8Reader;

/// The lines of a text.
///
/// Lines end in LF or CRLF; a CR elsewhere belongs to its line. Only if the first line ends in a CR without LF, as in files of old
/// Mac programs, does each CR, LF and CRLF end a line, as in Python.
pub(super) struct Lines {
    input: Utf8Reader,
    /// Number of the last line, from 1.
    pub(super) number: usize,
    /// The last line with its line break, or the start of a line that is too long.
    pub(super) bytes: Vec<u8>,
    /// Whether a CR ends a line; unknown before the first line.
    ends_at_cr: Option<bool>,
}

impl Lines {
    pub(super) fn new(input: Utf8Reader) -> Self {
        Self { input, number: 0, bytes: Vec::new(), ends_at_cr: None }
    }

    /// Reads the next line; returns false at the end of the file.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        let ends_at_cr = match self.ends_at_cr {
            Some(known) => known,
            None => *self.ends_at_cr.insert(ends_at_cr(self.input.fill_buf()?)),
        };
        let limit = MAX_RECORD_BYTES + 2;
        if ends_at_cr {
            self.read_until_cr_or_lf(limit)?;
        } else {
            (&mut self.input).take(limit as u64).read_until(b'\n', &mut self.bytes)?;
        }
        self.number += 1;
        Ok(!self.bytes.is_empty())
    }

    /// Returns the last line without its line break.
    pub(super) fn content(&self) -> &[u8] {
        content(&self.bytes, self.ends_at_cr == Some(true))
    }

    /// Returns the next bytes of the file without consuming them.
    pub(super) fn peek(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn read_until_cr_or_lf(&mut self, limit: usize) -> io::Result<()> {
        while self.bytes.len() < limit {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(());
            }
            if self.bytes.last() == Some(&b'\r') {
                // Part of CRLF, or the start of the next line.
                if chunk[0] == b'\n' {
                    self.bytes.push(b'\n');
                    self.input.consume(1);
                }
                return Ok(());
            }
            let end = memchr::memchr2(b'\r', b'\n', chunk);
            let n = end.map_or(chunk.len(), |end| end + 1);
            let is_lf = end.is_some_and(|end| chunk[end] == b'\n');
            self.bytes.extend_from_slice(&chunk[..n]);
            self.input.consume(n);
            if is_lf {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Returns a line without its line break.
fn content(line: &[u8], ends_at_cr: bool) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None if ends_at_cr => line.strip_suffix(b"\r").unwrap_or(line),
        None => line,
    }
}

/// Returns whether the first line of a text ends in a CR: one outside of quotes, without LF, before any LF outside of quotes.
fn ends_at_cr(start: &[u8]) -> bool {
    let mut is_quoted = false;
    for (index, byte) in start.iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => return false,
            b'\r' if !is_quoted && start.get(index + 1).is_some_and(|next| *next != b'\n') => {
                // A CR may also be within the header of a file whose lines end in LF.
                let is_lone = |index: &usize| start.get(index + 1) != Some(&b'\n');
                let n_cr = memchr::memchr_iter(b'\r', start).filter(is_lone).count();
                return n_cr > memchr::memchr_iter(b'\n', start).count();
            }
            _ => {}
        }
    }
    // The only line of a file may end in CR.
    !is_quoted && start.ends_with(b"\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Input;

    fn lines(text: &str) -> Vec<String> {
        let input = Input::from_reader(io::Cursor::new(text.to_owned())).unwrap();
        let mut lines = Lines::new(Utf8Reader::new(input, None));
        let mut all = Vec::new();
        while lines.advance().unwrap() {
            all.push(String::from_utf8_lossy(lines.content()).into_owned());
            assert_eq!(lines.number, all.len());
        }
        all
    }

    #[test]
    fn lines_end_as_the_first_one() {
        assert_eq!(lines("a\nb\n\nc"), ["a", "b", "", "c"]);
        assert_eq!(lines("a\r\nb\r\nc\r\n"), ["a", "b", "c"]);
        assert_eq!(lines("a\rb\r\rc"), ["a", "b", "", "c"]);
        assert_eq!(lines("a\rb\rc\r"), ["a", "b", "c"]);
        // A CR within a line of a file with other line breaks.
        assert_eq!(lines("a\nb\rc\nd"), ["a", "b\rc", "d"]);
        assert_eq!(lines("a\r\nb\rc\r\nd"), ["a", "b\rc", "d"]);
        assert_eq!(lines("a\rb,c\nd\ne\nf\n"), ["a\rb,c", "d", "e", "f"]);
        // Mixed line breaks after a CR.
        assert_eq!(lines("a\rb\rc\nd\r\ne\r"), ["a", "b", "c", "d", "e"]);
        assert_eq!(lines(""), [""; 0]);
    }
}
