//! Operations that change the disk, with the syncs that make them durable.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::error::{CheckpointError, Result};

/// Number of bytes that are hashed and written at a time.
pub(super) const CHUNK: usize = if cfg!(test) { 64 } else { 1 << 18 };

/// Returns a buffer for one chunk.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; CHUNK]
}

/// Size and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileInfo {
    /// Bytes.
    pub(super) bytes: u64,
    /// XXH3 with 128 bits, as 32 lowercase hexadecimal digits.
    pub(super) xxh3_128: String,
}

/// Returns the checksum of bytes.
pub(super) fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", XxHash3_128::oneshot(bytes))
}

/// A kind of change; tests simulate a crash before any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    MakeDir,
    Create,
    Write,
    Sync,
    SyncDir,
    Link,
    Copy,
    Rename,
    Remove,
}

#[cfg(test)]
use super::crash::before;

#[cfg(not(test))]
fn before(_: Step, _: &Path) -> io::Result<()> {
    Ok(())
}

/// A new file whose checksum is computed while it is written.
pub(super) struct Sink {
    path: PathBuf,
    file: File,
    hash: XxHash3_128,
    bytes: u64,
}

impl Sink {
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = before(Step::Create, &path).and_then(|()| File::create_new(&path));
        match file {
            Ok(file) => Ok(Self { path, file, hash: XxHash3_128::new(), bytes: 0 }),
            Err(source) => Err(CheckpointError::io(&path)(source)),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        for chunk in bytes.chunks(CHUNK) {
            before(Step::Write, &self.path)
                .and_then(|()| self.file.write_all(chunk))
                .map_err(CheckpointError::io(&self.path))?;
            self.hash.write(chunk);
            self.bytes += chunk.len() as u64;
        }
        Ok(())
    }

    /// Flushes the file to the disk.
    pub(super) fn finish(self) -> Result<FileInfo> {
        before(Step::Sync, &self.path)
            .and_then(|()| self.file.sync_all())
            .map_err(CheckpointError::io(&self.path))?;
        Ok(FileInfo { bytes: self.bytes, xxh3_128: format!("{:032x}", self.hash.finish_128()) })
    }
}

/// Creates a directory and its parents.
pub(super) fn make_dir(path: &Path) -> Result<()> {
    before(Step::MakeDir, path).and_then(|()| fs::create_dir_all(path)).map_err(CheckpointError::io(path))
}

/// Flushes the entries of a directory to the disk.
pub(super) fn sync_dir(path: &Path) -> Result<()> {
    before(Step::SyncDir, path)
        .and_then(|()| faknow_data::common::sync_dir(path))
        .map_err(CheckpointError::io(path))
}

/// Creates a hard link to a file, or copies it where links are not supported (other file systems, network drives).
pub(super) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if before(Step::Link, to).and_then(|()| fs::hard_link(from, to)).is_ok() {
        return Ok(());
    }
    before(Step::Copy, to).and_then(|()| fs::copy(from, to)).map_err(CheckpointError::io(to))?;
    before(Step::Sync, to).and_then(|()| File::open(to)?.sync_all()).map_err(CheckpointError::io(to))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    before(Step::Rename, to).and_then(|()| fs::rename(from, to)).map_err(CheckpointError::io(from))
}

/// Removes a directory with its content, if it exists.
pub(super) fn remove_dir(path: &Path) -> Result<()> {
    #[cfg(test)]
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        before(Step::Remove, path)
            .and_then(|()| fs::remove_file(entry.path()))
            .map_err(CheckpointError::io(path))?;
    }
    match before(Step::Remove, path).and_then(|()| fs::remove_dir_all(path)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CheckpointError::io(path)(source)),
        _ => Ok(()),
    }
}
