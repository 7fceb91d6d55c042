//! Input files as decompressed bytes: regular files, compressed files, pipes and standard input.

mod compression;
mod content;
mod spool;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::{Error, Result};
use compression::Compression;
pub(crate) use compression::{ARCHIVE_EXTENSIONS, COMPRESSED_EXTENSIONS};
pub use content::Content;
use spool::Spool;

/// The path of standard input.
const STANDARD_INPUT: &str = "-";

/// The decompressed bytes of a file, of a pipe, of standard input, or of another reader.
///
/// gzip and zstd are recognized by their content, whatever the file extension; truncated and corrupt data are errors.
///
/// ```
/// use std::io::Read;
///
/// let mut text = String::new();
/// faknow_data::Input::from_reader(&b"text,label\n"[..])?.read_to_string(&mut text)?;
/// assert_eq!(text, "text,label\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Input {
    bytes: Bytes,
    /// What opens the same bytes again.
    path: Option<PathBuf>,
}

enum Bytes {
    File(File),
    Spooled(Spool),
    Stream(Box<dyn Read + Send>),
}

impl Input {
    /// Opens a file; `-` is standard input.
    ///
    /// Standard input, pipes and other files that can be read only once are copied to a temporary file when they are first
    /// opened, so that every later call in this process reads the same bytes.
    ///
    /// # Errors
    /// The file cannot be read, is a directory, or starts with broken compressed data.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |error| Error::io(input_name(path), error);
        let bytes = if is_stream(path) {
            Bytes::Spooled(Spool::open(path)?)
        } else {
            let file = File::open(path).map_err(io)?;
            if file.metadata().map_err(io)?.is_dir() {
                return Err(Error::file(path, "expected a file, got a directory"));
            }
            Bytes::File(file)
        };
        Ok(Self {
            bytes: decompressed(bytes).map_err(|error| input_error(path, error))?,
            path: Some(path.into()),
        })
    }

    /// Opens a file to read it once, as it arrives: standard input and pipes are not copied.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn stream(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !is_stream(path) {
            return Self::open(path);
        }
        let reader = spool::open_stream(path).map_err(|error| Error::io(input_name(path), error))?;
        Self::from_reader(reader).map_err(|error| input_error(path, error))
    }

    /// Decompresses the bytes of a reader.
    ///
    /// # Errors
    /// The reader fails, or starts with broken compressed data.
    pub fn from_reader(reader: impl Read + Send + 'static) -> io::Result<Self> {
        Ok(Self { bytes: decompressed(Bytes::Stream(Box::new(reader)))?, path: None })
    }

    /// Returns the path that opens the same bytes again, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns a file with the decompressed bytes, at its start: that of the path, or a temporary one.
    #[cfg(any(feature = "excel", feature = "parquet"))]
    pub(crate) fn into_file(self) -> io::Result<File> {
        match self.bytes {
            Bytes::File(file) => Ok(file),
            Bytes::Spooled(mut spool) => spool::copy_to_file(&mut spool),
            Bytes::Stream(mut stream) => spool::copy_to_file(&mut stream),
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::File(file) => file.read(out),
            Bytes::Spooled(spool) => spool.read(out),
            Bytes::Stream(stream) => stream.read(out),
        }
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Returns whether the bytes of a path can be read only once: standard input, a pipe, a socket, a terminal.
pub fn is_stream(path: &Path) -> bool {
    let is_special = |path: &Path| {
        path.metadata()
            .is_ok_and(|metadata| !metadata.file_type().is_file() && !metadata.file_type().is_dir())
    };
    path == Path::new(STANDARD_INPUT) || is_special(path)
}

/// Returns the name of an input in messages.
pub(crate) fn input_name(path: &Path) -> PathBuf {
    if path == Path::new(STANDARD_INPUT) { "standard input".into() } else { path.into() }
}

/// Converts an error of an input into an error of this crate.
pub(crate) fn input_error(path: &Path, error: io::Error) -> Error {
    let path = input_name(path);
    match error.get_ref().and_then(|inner| inner.downcast_ref::<InvalidInput>()) {
        Some(InvalidInput(message)) => Error::file(path, message.clone()),
        None => Error::io(path, error),
    }
}

/// Creates an error for bytes that are not what a reader expects.
pub(crate) fn invalid_input(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, InvalidInput(message.into()))
}

/// The message of an error whose cause is the content of a file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InvalidInput(String);

/// Detects compression by the first bytes.
fn decompressed(bytes: Bytes) -> io::Result<Bytes> {
    match bytes {
        Bytes::File(mut file) => {
            let (start, compression) = Compression::detect(&mut file)?;
            match compression {
                // Also a file that cannot seek is read from its start.
                None if start.is_empty() => Ok(Bytes::File(file)),
                None => file.seek(SeekFrom::Start(0)).map(|_| Bytes::File(file)),
                Some(compression) => compression.decoder(start, file).map(Bytes::Stream),
            }
        }
        Bytes::Spooled(mut spool) => {
            let (start, compression) = Compression::detect(&mut spool)?;
            match compression {
                None => spool.seek(SeekFrom::Start(0)).map(|_| Bytes::Spooled(spool)),
                Some(compression) => compression.decoder(start, spool).map(Bytes::Stream),
            }
        }
        Bytes::Stream(mut stream) => {
            let (start, compression) = Compression::detect(&mut stream)?;
            Ok(Bytes::Stream(match compression {
                None => Box::new(io::Cursor::new(start).chain(stream)),
                Some(compression) => compression.decoder(start, stream)?,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(text, 1).unwrap()
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("posts.csv");
        std::fs::write(&path, &bytes).unwrap();
        let mut from_file = Vec::new();
        let result = Input::open(&path).and_then(|mut input| {
            input.read_to_end(&mut from_file).map_err(|error| input_error(&path, error))
        });
        let mut from_reader = Vec::new();
        let reader =
            Input::from_reader(io::Cursor::new(bytes)).and_then(|mut it| it.read_to_end(&mut from_reader));
        assert_eq!((result.is_ok(), &from_file), (reader.is_ok(), &from_reader));
        result.map(|_| from_file).map_err(|error| error.to_string())
    }

    #[test]
    fn decompresses_by_content() {
        let text = "text,label\nSchool starts,real\n".repeat(5000).into_bytes();
        let twice = [&text[..], &text].concat();
        assert_eq!(read(text.clone()).unwrap(), text);
        for compress in [gzip, zstd] {
            let bytes = compress(&text);
            assert!(read(bytes.clone()).unwrap() == text);
            // Several members, as written by `cat` and by parallel compressors.
            assert!(read([&bytes[..], &bytes].concat()).unwrap() == twice);
            assert_eq!(read(compress(b"")).unwrap(), b"");
        }
        for bytes in [&b""[..], b"a", b"ab", b"\x1f", b"\x28\xb5\x2f", b"P", b"PK"] {
            assert_eq!(read(bytes.to_vec()).unwrap(), bytes);
        }
    }

    #[test]
    fn truncated_and_corrupt_data_are_errors() {
        let text = "text,label\nSchool starts,real\n".repeat(500).into_bytes();
        for (compress, name) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstd, "zstd")] {
            let bytes = compress(&text);
            for length in [6, bytes.len() / 2, bytes.len() - 1] {
                let message = read(bytes[..length].to_vec()).unwrap_err();
                assert!(message.contains("posts.csv: ") && message.contains(name), "{message}");
                assert!(message.contains("the file may be truncated"), "{length}: {message}");
            }
        }
        // zstd has no checksum by default.
        let mut corrupt = gzip(&text);
        let middle = corrupt.len() / 2;
        corrupt[middle..middle + 8].fill(0xAA);
        let message = read(corrupt).map(|bytes| bytes.len()).unwrap_err();
        assert!(message.contains("invalid gzip data: "), "{message}");
    }

    #[test]
    #[cfg(unix)]
    fn pipes_are_read_several_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let content = "text,label\na,1\n".repeat(10_000);
        let writer = std::thread::spawn({
            let (path, content) = (path.clone(), content.clone());
            move || std::fs::write(path, content).unwrap()
        });
        for _ in 0..3 {
            let mut text = String::new();
            Input::open(&path).unwrap().read_to_string(&mut text).unwrap();
            assert!(text == content);
        }
        writer.join().unwrap();
    }

    #[test]
    fn directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let message = Input::open(dir.path()).unwrap_err().to_string();
        assert!(message.ends_with("expected a file, got a directory"), "{message}");
    }
}
