//! Copies of standard input and pipes in temporary files, which exist until the process ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{STANDARD_INPUT, input_name};
use crate::{Error, Result};

/// The copies by path. A path whose copy failed has none: its first bytes are lost.
static COPIES: Mutex<BTreeMap<PathBuf, Option<Arc<Mutex<File>>>>> = Mutex::new(BTreeMap::new());

/// Other paths of standard input.
const ALIASES: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// A reader of a temporary file with its own position.
pub(super) struct Spool {
    file: Arc<Mutex<File>>,
    position: u64,
}

impl Spool {
    /// Opens the copy of a path; the first call copies it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let is_alias = ALIASES.iter().any(|alias| path == Path::new(alias));
        let key = if is_alias { PathBuf::from(STANDARD_INPUT) } else { path.to_owned() };
        let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = copies.get(&key) {
            let lost = || Error::file(input_name(path), "expected to read it again, but its copy failed");
            return copy.clone().map(|file| Self { file, position: 0 }).ok_or_else(lost);
        }
        let copied = open_stream(path).and_then(|mut stream| copy(&mut stream));
        copies.insert(key, copied.as_ref().ok().map(|spool| Arc::clone(&spool.file)));
        copied.map_err(|error| Error::io(input_name(path), error))
    }
}

/// Opens standard input, or a file that can be read only once.
pub(super) fn open_stream(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    if path == Path::new(STANDARD_INPUT) {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(path)?))
}

/// Copies a reader to a temporary file that several readers share.
fn copy(reader: &mut dyn Read) -> io::Result<Spool> {
    Ok(Spool { file: Arc::new(Mutex::new(copy_to_file(reader)?)), position: 0 })
}

/// Copies a reader to a temporary file; returns it at its start.
pub(super) fn copy_to_file(reader: &mut dyn Read) -> io::Result<File> {
    let dir = std::env::temp_dir();
    let failed = |error: io::Error| {
        let dir = dir.display();
        io::Error::new(error.kind(), format!("cannot be copied to a temporary file in {dir}: {error}"))
    };
    let mut file = tempfile::tempfile_in(&dir).map_err(failed)?;
    // Errors of decompression are those of the reader: they are not about the temporary file.
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => io::Write::write_all(&mut file, &buffer[..n]).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

impl Read for Spool {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.position))?;
        let n = file.read(out)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Spool {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let to = match to {
            SeekFrom::Current(offset) => {
                let position = self.position.checked_add_signed(offset);
                SeekFrom::Start(position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?)
            }
            other => other,
        };
        self.position = file.seek(to)?;
        Ok(self.position)
    }
}
