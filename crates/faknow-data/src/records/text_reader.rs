//! A reader that passes only valid UTF-8, decodes other encodings that are named or marked, and describes text that is neither.

use std::io::{self, BufRead, Cursor, Read};
use std::path::{Path, PathBuf};

use super::decoder::DecodingReader;
use super::{Encoding, encoding_candidates};
use crate::input::{Content, Input, invalid_input};

const BUFFER_BYTES: usize = 64 * 1024;
/// Size of the text from which the encoding is guessed.
const GUESS_BYTES: u64 = 4 << 20;
/// Number of characters beyond ASCII from which valid UTF-8 is not a coincidence.
const MIN_UTF8: usize = 4;
/// Number of bytes of an earlier part of a line that are shown with a candidate.
const MAX_LINE_START: usize = 200;

/// A buffered reader of UTF-8: of the bytes of `inner` up to the first that is invalid, or of decoded text.
pub(super) struct Utf8Reader {
    inner: Box<dyn Read + Send>,
    encoding: Option<Encoding>,
    /// What opens the input again.
    path: Option<PathBuf>,
    buffer: Vec<u8>,
    /// `buffer[start..valid]` is validated and not yet consumed, `buffer[valid..end]` is not validated yet.
    start: usize,
    valid: usize,
    end: usize,
    /// Bytes and line feeds of the file before `buffer[0]`.
    offset: u64,
    lines: u64,
    /// The start of the line that continues in `buffer`, of limited size.
    line_start: Vec<u8>,
    at_start: bool,
}

impl Utf8Reader {
    /// Creates a reader of text in `encoding`, by default UTF-8; a byte order mark precedes it.
    pub(super) fn new(input: Input, encoding: Option<Encoding>) -> Self {
        let path = input.path().map(Path::to_path_buf);
        let buffer = vec![0; BUFFER_BYTES];
        Self {
            inner: Box::new(input),
            encoding: encoding.filter(|it| it.inner() != encoding_rs::UTF_8),
            path,
            buffer,
            start: 0,
            valid: 0,
            end: 0,
            offset: 0,
            lines: 0,
            line_start: Vec::new(),
            at_start: true,
        }
    }

    /// Fills `buffer[start..valid]`; leaves it empty at the end of the input.
    fn refill(&mut self) -> io::Result<()> {
        self.offset += self.valid as u64;
        self.lines += memchr::memchr_iter(b'\n', &self.buffer[..self.valid]).count() as u64;
        let line_start = memchr::memrchr(b'\n', &self.buffer[..self.valid]).map_or(0, |end| end + 1);
        self.line_start =
            self.buffer[line_start.max(self.valid.saturating_sub(MAX_LINE_START))..self.valid].to_vec();
        self.buffer.copy_within(self.valid..self.end, 0);
        self.end -= self.valid;
        (self.start, self.valid) = (0, 0);
        if self.at_start {
            self.at_start = false;
            self.detect()?;
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

    /// Skips a byte order mark, and decodes from here on if the text is not UTF-8.
    fn detect(&mut self) -> io::Result<()> {
        while self.end < 4 && self.read_more()? {}
        let first = &self.buffer[..self.end];
        if let Some(content) = Content::recognize(first).filter(|it| *it != Content::Json) {
            return Err(invalid_input(content.message()));
        }
        let (encoding, n_mark) = match first {
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => {
                let message = "the text is UTF-32, which is not supported: save it as UTF-8";
                return Err(invalid_input(message));
            }
            [0xEF, 0xBB, 0xBF, ..] => (None, 3),
            [0xFF, 0xFE, ..] => (Some(Encoding::new(encoding_rs::UTF_16LE)), 2),
            [0xFE, 0xFF, ..] => (Some(Encoding::new(encoding_rs::UTF_16BE)), 2),
            _ => (self.encoding, 0),
        };
        self.start = n_mark;
        let Some(encoding) = encoding else {
            return zero_bytes(first).map_or(Ok(()), |message| Err(invalid_input(message)));
        };
        if n_mark == 0
            && let Some(message) = contradicts(encoding, first)
        {
            return Err(invalid_input(message));
        }
        let inner = std::mem::replace(&mut self.inner, Box::new(io::empty()));
        let bytes = Cursor::new(self.buffer[n_mark..self.end].to_vec()).chain(inner);
        self.inner = Box::new(DecodingReader::new(bytes, encoding, n_mark));
        (self.start, self.end) = (0, 0);
        Ok(())
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

    /// Returns the error for the byte `buffer[start]`, with the encodings that the text may have.
    fn not_utf8(&self) -> io::Error {
        let (position, line) = (self.offset + self.start as u64, self.lines + 1);
        let first = self.buffer[self.start..self.end].first().copied().unwrap_or_default();
        let got = format!("expected UTF-8, got the byte 0x{first:02X} at byte {position}, line {line}");
        let text = self
            .text_around(position)
            .unwrap_or_else(|| [&self.line_start, &self.buffer[..self.end]].concat());
        let (n_valid, n_invalid) = count_utf8(&text);
        if n_valid >= MIN_UTF8 && n_valid >= n_invalid {
            return invalid_input(format!(
                "{got}: the text around it is UTF-8 ({n_valid} characters beyond ASCII are valid, {n_invalid} are \
                 not), so it is corrupt, or was joined from files of different encodings; repair this line"
            ));
        }
        let readings: Vec<String> = encoding_candidates(&text)
            .iter()
            .map(|it| format!("`{}` with `encoding = {}`", it.excerpt, it.encoding))
            .collect();
        invalid_input(match readings.split_last() {
            None => format!("{got}, and no other encoding fits: the file may not be text"),
            Some((one, [])) => format!("{got}; the file may be in another encoding: a line reads {one}"),
            Some((last, others)) => format!(
                "{got}; the file is in another encoding: a line reads {} or {last}; choose the one that is right",
                others.join(", ")
            ),
        })
    }

    /// Returns text of some MiB that contains the byte at `position`, if the input can be opened again.
    fn text_around(&self, position: u64) -> Option<Vec<u8>> {
        let mut input = Input::open(self.path.as_ref()?).ok()?;
        let n_skipped = position.saturating_sub(GUESS_BYTES / 4);
        io::copy(&mut (&mut input).take(n_skipped), &mut io::sink()).ok()?;
        let mut text = Vec::new();
        input.take(GUESS_BYTES).read_to_end(&mut text).ok()?;
        if n_skipped > 0 {
            // The first line is incomplete.
            let start = memchr::memchr(b'\n', &text).map_or(0, |end| end + 1);
            text.drain(..start);
        }
        Some(text)
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

/// Returns an error message if text that starts with these bytes is UTF-16 without a byte order mark, or not text.
fn zero_bytes(first: &[u8]) -> Option<String> {
    let utf_16 = |name: &str| {
        format!("every other byte is zero: the text seems to be UTF-16; read it with `encoding = {name}`")
    };
    match first {
        [0, 0, ..] | [_, 0, 0, ..] => {
            Some("expected text, got zero bytes at the start: the file is not text".into())
        }
        [0, _, ..] => Some(utf_16("utf-16be")),
        [_, 0, ..] => Some(utf_16("utf-16le")),
        _ => None,
    }
}

/// Returns an error message if text that starts with these bytes is not in `encoding`, although it could be decoded.
fn contradicts(encoding: Encoding, first: &[u8]) -> Option<String> {
    let is_utf_16 = [encoding_rs::UTF_16LE, encoding_rs::UTF_16BE].contains(&encoding.inner());
    if is_utf_16 && !first.is_empty() && !first.contains(&0) {
        return Some(format!(
            "expected {encoding}, got text without zero bytes, which is in another encoding"
        ));
    }
    let (n_valid, n_invalid) = count_utf8(first);
    // The end of the buffer may split one character.
    let is_utf_8 = n_valid >= MIN_UTF8
        && (n_invalid == 0
            || (n_invalid == 1
                && std::str::from_utf8(first).is_err_and(|error| error.error_len().is_none())));
    is_utf_8.then(|| format!("expected {encoding}, got valid UTF-8; read it with `encoding = utf-8`"))
}

/// Returns the number of characters beyond ASCII, and of invalid sequences.
fn count_utf8(bytes: &[u8]) -> (usize, usize) {
    bytes.utf8_chunks().fold((0, 0), |(n_valid, n_invalid), chunk| {
        let n = chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        (n_valid + n, n_invalid + usize::from(!chunk.invalid().is_empty()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::input_error;

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

    fn read_in(bytes: &[u8], chunk: usize, encoding: Option<&str>) -> (Vec<u8>, Option<String>) {
        let bytes = ChunkedReader { bytes: std::io::Cursor::new(bytes.to_vec()), chunk };
        let encoding = encoding.map(|name| name.parse().unwrap());
        let mut reader = Utf8Reader::new(Input::from_reader(bytes).unwrap(), encoding);
        let mut out = Vec::new();
        let error = reader.read_to_end(&mut out).err();
        (out, error.map(|error| input_error(Path::new("f"), error).to_string()))
    }

    fn read(bytes: &[u8], chunk: usize) -> (Vec<u8>, Option<String>) {
        read_in(bytes, chunk, None)
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
    fn decodes_other_encodings_for_any_read_size() {
        let text = "id,text\r\n1,\"日本語 テスト, 東京\"\r\n".repeat(3000);
        let utf_16 = |swap: bool| -> Vec<u8> {
            let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
            units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        let shift_jis = encoding_rs::SHIFT_JIS.encode(&text).0.into_owned();
        let files = [
            (utf_16(false), None),
            (utf_16(true), None),
            // A byte order mark takes precedence.
            (utf_16(false), Some("gbk")),
            (utf_16(true)[2..].to_vec(), Some("utf-16be")),
            (shift_jis, Some("shift_jis")),
        ];
        for (bytes, encoding) in files {
            for chunk in [1, 3, 4096, usize::MAX] {
                let (got, message) = read_in(&bytes, chunk, encoding);
                assert!(message.is_none() && got == text.as_bytes(), "{encoding:?}, {chunk}: {message:?}");
            }
        }
    }

    #[test]
    fn invalid_bytes_of_a_named_encoding_are_errors() {
        for chunk in [1, 5, usize::MAX] {
            let (got, message) = read_in(b"one\ntwo \x81\x00 three\n", chunk, Some("shift_jis"));
            assert_eq!(got, b"one\ntwo ");
            let message = message.unwrap();
            assert!(
                message.contains("f: expected shift_jis, got invalid bytes at byte 8, line 2"),
                "{message}"
            );
        }
        let message = read_in(b"a \x81", 1, Some("gbk")).1.unwrap();
        assert!(message.contains("unexpected end of file inside a character in gbk at byte 2"), "{message}");
    }

    #[test]
    fn another_encoding_than_the_named_one_is_an_error() {
        let text = "Größe, Wärme, Übung, größer".as_bytes();
        for name in ["windows-1252", "gbk", "koi8-r"] {
            let message = read_in(text, usize::MAX, Some(name)).1.unwrap();
            assert!(message.contains("got valid UTF-8; read it with `encoding = utf-8`"), "{message}");
        }
        let message = read_in(b"text,label", usize::MAX, Some("utf-16")).1.unwrap();
        assert!(message.contains("expected utf-16le, got text without zero bytes"), "{message}");
        assert_eq!(read_in(text, usize::MAX, Some("utf-8")), (text.to_vec(), None));
    }

    #[test]
    fn returns_bytes_before_an_invalid_byte() {
        for chunk in [1, 5, usize::MAX] {
            let (got, message) = read(b"one\ntwo caf\xE9 three\n", chunk);
            assert_eq!(got, b"one\ntwo caf");
            let message = message.unwrap();
            assert!(message.contains("expected UTF-8, got the byte 0xE9 at byte 11, line 2; "), "{message}");
        }
    }

    #[test]
    fn candidates_are_named_with_a_line() {
        let message = read(b"one\ntwo caf\xE9 three\n", usize::MAX).1.unwrap();
        assert!(
            message.contains("a line reads `two café three` with `encoding = windows-1252`"),
            "{message}"
        );
        let mostly = "Größe, Wärme, Übung\n".repeat(9).into_bytes();
        let message = read(&[&mostly, &b"caf\xE9\n"[..], &mostly].concat(), usize::MAX).1.unwrap();
        assert!(message.contains("line 10: the text around it is UTF-8"), "{message}");
    }

    #[test]
    fn names_other_content() {
        let check = |bytes: &[u8], expected: &str| {
            let message = read(bytes, usize::MAX).1.unwrap();
            assert!(message.contains(expected), "{message}");
        };
        check(b"a\0b\0", "`encoding = utf-16le`");
        check(b"\0a\0b", "`encoding = utf-16be`");
        check(b"\xFF\xFE\0\0a\0\0\0", "UTF-32, which is not supported");
        check(b"a\0\0\0", "the file is not text");
        check("ends in 中".as_bytes().split_last().unwrap().1, "inside a character at byte 8");
        check(b"\xEF\xBB\xBF\xE9", "byte 3");
    }

    #[test]
    fn empty_input_is_valid() {
        assert_eq!(read(b"", 1), (vec![], None));
        assert_eq!(read(b"\xEF\xBB\xBF", 1), (vec![], None));
        assert_eq!(read(b"\xFF\xFE", 1), (vec![], None));
    }
}
