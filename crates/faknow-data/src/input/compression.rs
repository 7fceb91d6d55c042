//! Decompression of gzip and zstd while reading, with errors that say what is broken.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::invalid_input;

/// Extensions of compressed files, whose format the extension before them names: `posts.csv.gz` is CSV.
pub(crate) const COMPRESSED_EXTENSIONS: [&str; 3] = ["gz", "zst", "zstd"];

/// Extensions of compressed files and archives that are not read, and what helps.
pub(crate) const ARCHIVE_EXTENSIONS: [(&str, &str); 8] = [
    ("bz2", "decompress it with `bunzip2`"),
    ("xz", "decompress it with `unxz`"),
    ("zip", "extract it with `unzip`"),
    ("7z", "extract it with `7z x`"),
    ("rar", "extract it with `unrar x`"),
    ("tar", "extract it with `tar -xf`"),
    ("tgz", "extract it with `tar -xf`"),
    ("tbz2", "extract it with `tar -xf`"),
];

/// A compression format.
#[derive(Clone, Copy)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Reads the first bytes, at most 4, and only as many as can belong to a compressed file.
    pub(super) fn detect(reader: &mut impl Read) -> io::Result<(Vec<u8>, Option<Self>)> {
        let mut start = Vec::with_capacity(4);
        loop {
            match start[..] {
                [0x1F, 0x8B, ..] => return Ok((start, Some(Self::Gzip))),
                // A frame, or a skippable frame as written by parallel compressors.
                [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => {
                    return Ok((start, Some(Self::Zstd)));
                }
                [] | [0x1F] | [0x28] | [0x28, 0xB5] | [0x28, 0xB5, 0x2F] => {}
                [0x50..=0x5F] | [0x50..=0x5F, 0x2A] | [0x50..=0x5F, 0x2A, 0x4D] => {}
                _ => return Ok((start, None)),
            }
            let mut byte = [0];
            match reader.read(&mut byte) {
                Ok(0) => return Ok((start, None)),
                Ok(_) => start.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns a reader of the decompressed bytes of `start`, followed by `rest`.
    pub(super) fn decoder(
        self,
        start: Vec<u8>,
        rest: impl Read + Send + 'static,
    ) -> io::Result<Box<dyn Read + Send>> {
        let compressed = Cursor::new(start).chain(rest);
        Ok(match self {
            Self::Gzip => Box::new(Checked { decoder: MultiGzDecoder::new(compressed), name: "gzip" }),
            Self::Zstd => Box::new(Checked { decoder: zstd::Decoder::new(compressed)?, name: "zstd" }),
        })
    }
}

/// A decoder whose errors name the compression.
struct Checked<D> {
    decoder: D,
    name: &'static str,
}

impl<D: Read> Read for Checked<D> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let name = self.name;
        self.decoder.read(out).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            io::ErrorKind::UnexpectedEof => {
                invalid_input(format!("unexpected end of the {name} data: the file may be truncated"))
            }
            // Not an error of the operating system.
            _ if error.raw_os_error().is_none() => invalid_input(format!("invalid {name} data: {error}")),
            _ => error,
        })
    }
}
