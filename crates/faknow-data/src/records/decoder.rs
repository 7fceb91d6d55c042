//! Decoding of other encodings than UTF-8 while reading.

use std::io::{self, Read};

use encoding_rs::DecoderResult;

use super::Encoding;
use crate::input::invalid_input;

const BUFFER_BYTES: usize = 64 * 1024;

/// A reader that decodes `inner` to UTF-8; bytes that the encoding does not have are errors.
pub(super) struct DecodingReader<R> {
    inner: R,
    encoding: Encoding,
    decoder: encoding_rs::Decoder,
    /// `input[start..end]` is not decoded yet.
    input: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// Decoded text that is not returned yet starts at `position`.
    text: String,
    position: usize,
    /// Bytes that were decoded, and line feeds among them.
    n_bytes: u64,
    n_lines: u64,
    malformed: Option<String>,
}

impl<R: Read> DecodingReader<R> {
    /// Creates a reader of the text after the first `n_mark` bytes of a file.
    pub(super) fn new(inner: R, encoding: Encoding, n_mark: usize) -> Self {
        Self {
            inner,
            encoding,
            decoder: encoding.inner().new_decoder_without_bom_handling(),
            input: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            at_end: false,
            text: String::with_capacity(2 * BUFFER_BYTES),
            position: 0,
            n_bytes: n_mark as u64,
            n_lines: 0,
            malformed: None,
        }
    }

    /// Decodes more text; leaves `text` empty at the end.
    fn decode(&mut self) -> io::Result<()> {
        self.text.clear();
        self.position = 0;
        while self.text.is_empty() {
            if let Some(message) = &self.malformed {
                return Err(invalid_input(message.clone()));
            }
            if self.start == self.end {
                if self.at_end {
                    return Ok(());
                }
                self.start = 0;
                self.end = self.inner.read(&mut self.input)?;
                self.at_end = self.end == 0;
            }
            let input = &self.input[self.start..self.end];
            let (result, n_read) =
                self.decoder.decode_to_string_without_replacement(input, &mut self.text, self.at_end);
            self.start += n_read;
            self.n_bytes += n_read as u64;
            self.n_lines += memchr::memchr_iter(b'\n', self.text.as_bytes()).count() as u64;
            if let DecoderResult::Malformed(length, after) = result {
                let position = self.n_bytes.saturating_sub(u64::from(length) + u64::from(after));
                let (name, line) = (self.encoding, self.n_lines + 1);
                self.malformed = Some(if self.at_end {
                    format!(
                        "unexpected end of file inside a character in {name} at byte {position}: the file may be \
                         truncated, or in another encoding"
                    )
                } else {
                    format!(
                        "expected {name}, got invalid bytes at byte {position}, line {line}: the file may be in \
                             another encoding"
                    )
                });
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for DecodingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position == self.text.len() {
            self.decode()?;
        }
        let rest = &self.text.as_bytes()[self.position..];
        let n = rest.len().min(out.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.position += n;
        Ok(n)
    }
}
