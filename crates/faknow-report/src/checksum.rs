//! Checksums of prediction files: results of a truncated or modified file would be wrong without any sign of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::summary::read_json;
use crate::{Error, Result};

/// Extension of the file with the [`Checksum`] of another file, which it replaces.
const EXTENSION: &str = "checksum.json";

/// Size and checksum of a file of predictions.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Checksum {
    n_samples: usize,
    bytes: usize,
    /// XXH3 with 128 bits, as 32 lowercase hexadecimal digits.
    xxh3_128: String,
}

impl Checksum {
    fn new(content: &[u8], n_samples: usize) -> Self {
        let xxh3_128 = format!("{:032x}", XxHash3_128::oneshot(content));
        Self { n_samples, bytes: content.len(), xxh3_128 }
    }
}

/// Writes a file of predictions and its checksum.
pub(crate) fn write(path: &Path, content: &[u8], n_samples: usize) -> Result<()> {
    // First, so that a file that was not written completely, for example because the disk is full, never matches.
    let checksum_path = path_for(path);
    let checksum = serde_json::to_string(&Checksum::new(content, n_samples))
        .map_err(|error| Error::io(&checksum_path, error.into()))?;
    fs::write(&checksum_path, checksum + "\n").map_err(|error| Error::io(&checksum_path, error))?;
    fs::write(path, content).map_err(|error| Error::io(path, error))
}

/// Checks the content of a file of predictions. A file without checksum, which earlier versions wrote, must at least have a
/// complete last line.
pub(crate) fn verify(path: &Path, content: &[u8]) -> Result<()> {
    let Some(expected) = read_json::<Checksum>(&path_for(path))? else {
        return match content.last() {
            Some(b'\n') | None => Ok(()),
            Some(_) => Err(Error::corrupted(path, "expected a complete last line, got a truncated one")),
        };
    };
    let Checksum { n_samples, bytes, .. } = expected;
    if content.len() != bytes {
        let what = format!("expected {bytes} bytes with {n_samples} samples, got {} bytes", content.len());
        return Err(Error::corrupted(path, what));
    }
    let got = Checksum::new(content, n_samples);
    if got != expected {
        let what = format!("checksum: expected {}, got {}", expected.xxh3_128, got.xxh3_128);
        return Err(Error::corrupted(path, what));
    }
    Ok(())
}

fn path_for(path: &Path) -> PathBuf {
    path.with_extension(EXTENSION)
}
