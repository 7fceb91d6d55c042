//! A bounded directory of decoded pixels, shared by runs.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use twox_hash::XxHash3_128;

use crate::common::write_atomically;
use crate::{Error, Result};

/// Extension of the files.
const EXTENSION: &str = "pixels";
/// Number of bytes of the checksum at the end of a file.
const CHECKSUM: usize = 16;

/// A directory with one file of pixels per image and options, which several processes can use at the same time.
///
/// Files are written atomically and never changed. A corrupted file is ignored and replaced.
#[derive(Debug)]
pub(super) struct PixelCache {
    dir: PathBuf,
    max_bytes: u64,
    /// Number of bytes of all files, as far as this process knows.
    n_bytes: Mutex<u64>,
    has_failed: AtomicBool,
}

/// A file of the directory.
struct Entry {
    modified: SystemTime,
    path: PathBuf,
    n_bytes: u64,
}

impl PixelCache {
    /// Opens a directory, which is created if missing.
    pub(super) fn open(dir: &Path, max_bytes: u64) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        let n_bytes = entries(dir).map_err(|error| Error::io(dir, error))?.iter().map(|it| it.n_bytes).sum();
        let cache = Self {
            dir: dir.to_owned(),
            max_bytes,
            n_bytes: Mutex::new(n_bytes),
            has_failed: AtomicBool::new(false),
        };
        cache.limit();
        Ok(cache)
    }

    /// Returns the pixels with this key, if the directory has them.
    pub(super) fn get(&self, key: u128, n_values: usize) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(key)).ok()?;
        let values = bytes.get(..n_values)?;
        if bytes.len() != n_values + CHECKSUM || bytes[n_values..] != checksum(values) {
            return None;
        }
        bytes.truncate(n_values);
        Some(bytes)
    }

    /// Stores pixels; a failure, as on a full disk, is a warning, since the pixels can be computed again.
    pub(super) fn put(&self, key: u128, values: &[u8]) {
        let path = self.path(key);
        let written = write_atomically(&path, |file| {
            file.write_all(values)?;
            file.write_all(&checksum(values))
        });
        match written {
            Ok(()) => {
                *self.lock() += (values.len() + CHECKSUM) as u64;
                self.limit();
            }
            Err(error) if !self.has_failed.swap(true, Ordering::Relaxed) => {
                tracing::warn!("{}: decoded images are not stored: {error}", self.dir.display());
            }
            Err(_) => {}
        }
    }

    /// Removes the oldest files beyond the limit, and some more, so that not every new file has to remove one.
    fn limit(&self) {
        let mut n_bytes = self.lock();
        if *n_bytes <= self.max_bytes {
            return;
        }
        let Ok(mut entries) = entries(&self.dir) else { return };
        *n_bytes = entries.iter().map(|entry| entry.n_bytes).sum();
        let target = self.max_bytes - self.max_bytes / 10;
        entries.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        for entry in entries {
            if *n_bytes <= target {
                break;
            }
            // Another process may have removed it.
            let _ = fs::remove_file(&entry.path);
            *n_bytes -= entry.n_bytes;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.n_bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: u128) -> PathBuf {
        self.dir.join(format!("{key:032x}.{EXTENSION}"))
    }
}

fn checksum(values: &[u8]) -> [u8; CHECKSUM] {
    XxHash3_128::oneshot(values).to_le_bytes()
}

fn entries(dir: &Path) -> std::io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        // Another process may have removed it.
        if let Ok(metadata) = path.metadata() {
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(Entry { modified, path, n_bytes: metadata.len() });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrupted_files_are_ignored_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PixelCache::open(&dir.path().join("new/dir"), 1 << 20).unwrap();
        assert_eq!(cache.get(7, 3), None);
        cache.put(7, &[1, 2, 3]);
        assert_eq!(cache.get(7, 3), Some(vec![1, 2, 3]));
        assert_eq!((cache.get(7, 2), cache.get(7, 4), cache.get(8, 3)), (None, None, None));
        let path = cache.path(7);
        let mut bytes = fs::read(&path).unwrap();
        bytes[1] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(cache.get(7, 3), None);
        fs::write(&path, &bytes[..5]).unwrap();
        assert_eq!(cache.get(7, 3), None);
        cache.put(7, &[4, 5, 6]);
        assert_eq!(cache.get(7, 3), Some(vec![4, 5, 6]));
    }

    #[test]
    fn oldest_files_are_removed_above_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let cache = PixelCache::open(dir.path(), 1_000).unwrap();
        for key in 0..30_u32 {
            cache.put(key.into(), &[key as u8; 84]);
            // Times of files may have a resolution of some milliseconds.
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(key.into());
            fs::File::options().write(true).open(cache.path(key.into())).unwrap().set_modified(time).unwrap();
            let n_bytes: u64 = entries(dir.path()).unwrap().iter().map(|entry| entry.n_bytes).sum();
            assert!(n_bytes <= 1_000, "{n_bytes} bytes after {key}");
        }
        assert!(cache.get(29, 84).is_some() && cache.get(24, 84).is_some() && cache.get(0, 84).is_none());
        // A smaller limit holds from the start.
        let cache = PixelCache::open(dir.path(), 250).unwrap();
        assert!(cache.get(29, 84).is_some() && cache.get(27, 84).is_none());
    }
}
