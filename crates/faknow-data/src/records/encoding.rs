//! A reader that passes only valid UTF-8, skips a byte order mark, and reports where another encoding was detected.

use std::io::{self, BufRead, Read};
use std::path::Path;

use crate::Error;

const BUFFER_BYTES: usize = 64 * 1024;

/// A buffered reader that returns the bytes of `inner` up to the first that is not UTF-8.
pub(super) struct Utf8Reader {
    inner: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// `buffer[start..valid]` is validated and not yet consumed, `buffer[valid..end]` is not validated yet.
    start: usize,
    valid: usize,
    end: usize,
    /// Bytes and line feeds of the file before `buffer[0]`.
    offset: u64,
    lines: u64,
    at_start: bool,
}

impl Utf8Reader {
    pub(super) fn new(inner: impl Read + Send + 'static) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self {
            inner: Box::new(inner),
            buffer,
            start: 0,
            valid: 0,
            end: 0,
            offset: 0,
            lines: 0,
            at_start: true,
        }
    }

    /// Fills `buffer[start..valid]`; leaves it empty at the end of the input.
    fn refill(&mut self) -> io::Result<()> {
        self.offset += self.valid as u64;
        self.lines += self.buffer[..self.valid].iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.buffer.copy_within(self.valid..self.end, 0);
        self.end -= self.valid;
        (self.start, self.valid) = (0, 0);
        if self.at_start {
            self.at_start = false;
            while self.end < 4 && self.read_more()? {}
            let first = &self.buffer[..self.end];
            if let Some(message) = other_format(first) {
                return Err(invalid_input(message));
            }
            if first.starts_with(b"\xEF\xBB\xBF") {
                self.start = 3;
            }
        }
        loop {
            match std::str::from_utf8(&self.buffer[self.start..self.end]) {
                Ok(_) => self.valid = self.end,
                Err(error) if error.valid_up_to() > 0 => self.valid = self.start + error.valid_up_to(),
                Err(error) if error.error_len().is_some() => return Err(self.not_utf8()),
                // A character is split by the end of the buffer.
                Err(_) => match self.read_more()? {
                    true => continue,
                    false => {
                        let position = self.offset + self.start as u64;
                        let message = format!(
                            "unexpected end of file inside a character at byte {position}: the file may be truncated"
                        );
                        return Err(invalid_input(message));
                    }
                },
            }
            if self.valid > self.start || !self.read_more()? {
                return Ok(());
            }
        }
    }

    /// Appends to the bytes not validated yet; returns false at the end of the input.
    fn read_more(&mut self) -> io::Result<bool> {
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(n_bytes) => {
                    self.end += n_bytes;
                    return Ok(n_bytes > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the error for the byte `buffer[start]`.
    fn not_utf8(&self) -> io::Error {
        let bad = &self.buffer[self.start..self.end];
        let (position, line) = (self.offset + self.start as u64, self.lines + 1);
        let first = bad.first().copied().unwrap_or_default();
        // Chinese encodings write pairs of high bytes, western ones mostly single ones between ASCII letters.
        let (likely, name) = match bad.get(1) {
            Some(0x80..) => ("GB18030 (Chinese)", "GB18030"),
            _ => ("Windows-1252 or Latin-1", "WINDOWS-1252"),
        };
        invalid_input(format!(
            "not UTF-8: byte {position} (0x{first:02X}, line {line}) looks like {likely}; expected UTF-8: \
             convert the file, for example `iconv -f {name} -t UTF-8`"
        ))
    }
}

impl Read for Utf8Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.fill_buf()?.read(out)?;
        self.consume(n_bytes);
        Ok(n_bytes)
    }
}

impl BufRead for Utf8Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.valid {
            self.refill()?;
        }
        Ok(&self.buffer[self.start..self.valid])
    }

    fn consume(&mut self, n_bytes: usize) {
        self.start = (self.start + n_bytes).min(self.valid);
    }
}

/// Converts an error of a [`Utf8Reader`] into an error of this crate.
pub(super) fn input_error(path: &Path, error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<InvalidInput>()) {
        Some(InvalidInput(message)) => Error::file(path, message.clone()),
        None => Error::io(path, error),
    }
}

/// The error message of a [`Utf8Reader`] for input that is not UTF-8 text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InvalidInput(String);

fn invalid_input(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, InvalidInput(message.into()))
}

/// Returns an error message if a file that starts with these bytes cannot be UTF-8 text.
fn other_format(first: &[u8]) -> Option<String> {
    let utf = |name: &str| {
        format!(
            "looks like {name} at byte 0; expected UTF-8: convert the file, for example `iconv -f {name} -t UTF-8`"
        )
    };
    let archive =
        |kind: &str| format!("looks like {kind}; expected plain text in UTF-8: extract or export it first");
    match first {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some(utf("UTF-32")),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some(utf("UTF-16")),
        [0, 0, ..] | [_, 0, 0, 0, ..] => {
            Some("binary data (zero bytes at its start); expected text in UTF-8".into())
        }
        [0, _, ..] => Some(utf("UTF-16BE")),
        [_, 0, ..] => Some(utf("UTF-16LE")),
        [0x1F, 0x8B, ..] => Some(archive("a gzip archive")),
        [b'P', b'K', 3, 4, ..] => Some(archive("a zip archive or a spreadsheet")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that returns `chunk` bytes at a time, as pipes do.
    struct ChunkedReader {
        bytes: std::io::Cursor<Vec<u8>>,
        chunk: usize,
    }

    impl Read for ChunkedReader {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n_bytes = out.len().min(self.chunk);
            self.bytes.read(&mut out[..n_bytes])
        }
    }

    fn read(bytes: &[u8], chunk: usize) -> (Vec<u8>, Option<String>) {
        let mut reader =
            Utf8Reader::new(ChunkedReader { bytes: std::io::Cursor::new(bytes.to_vec()), chunk });
        let mut out = Vec::new();
        let error = reader.read_to_end(&mut out).err();
        (out, error.map(|error| input_error(Path::new("f"), error).to_string()))
    }

    #[test]
    fn passes_utf8_for_any_read_size() {
        let text = "\u{feff}a é 中文 😀\r\n".repeat(10_000);
        let expected = &text.as_bytes()[3..];
        for chunk in [1, 2, 3, 7, 4096, usize::MAX] {
            assert!(read(text.as_bytes(), chunk) == (expected.to_vec(), None), "chunks of {chunk}");
        }
    }

    #[test]
    fn returns_bytes_before_an_invalid_byte() {
        for chunk in [1, 5, usize::MAX] {
            let (got, message) = read(b"one\ntwo caf\xE9 three\n", chunk);
            assert_eq!(got, b"one\ntwo caf");
            let message = message.unwrap();
            assert!(
                message.contains("byte 11 (0xE9, line 2)") && message.contains("WINDOWS-1252"),
                "{message}"
            );
        }
    }

    #[test]
    fn names_other_encodings() {
        let check = |bytes: &[u8], expected: &str| {
            let message = read(bytes, usize::MAX).1.unwrap();
            assert!(message.contains(expected), "{message}");
        };
        check(b"\xFF\xFEa\0b\0", "UTF-16");
        check(b"a\0b\0", "UTF-16LE");
        check(b"\0a\0b", "UTF-16BE");
        check(b"\xFF\xFE\0\0a\0\0\0", "UTF-32");
        check(b"\x1F\x8B\x08\0", "gzip");
        check(b"PK\x03\x04", "spreadsheet");
        check(b"text: \xD6\xD0\xCE\xC4", "GB18030");
        check("ends in 中".as_bytes().split_last().unwrap().1, "inside a character at byte 8");
        check(b"\xEF\xBB\xBF\xE9", "byte 3");
    }

    #[test]
    fn empty_input_is_valid() {
        assert_eq!(read(b"", 1), (vec![], None));
        assert_eq!(read(b"\xEF\xBB\xBF", 1), (vec![], None));
    }
}
