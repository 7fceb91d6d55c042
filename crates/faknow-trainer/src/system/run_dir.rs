//! The run directory: created once, owned by one run, never overwritten.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use faknow_callbacks::format_utc;
use faknow_data::common::{is_temporary, remove_temporary_files};

use crate::{Error, Result};

/// The directory of a run.
///
/// | path | content |
/// |---|---|
/// | `config.toml` | every setting, the seed, versions; written by `faknow::train`, not by a trainer alone |
/// | `run.log`, `history.jsonl`, `metrics.csv`, `test_metrics.csv`, `tensorboard/` | logs of the run, flushed continuously |
/// | `checkpoints/` | the latest state, the best one, …: see [`CheckpointPolicy`](crate::CheckpointPolicy) |
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    /// Whether it was created for this run and is still empty.
    is_new: bool,
    /// Lock file, held while any clone is alive; the system releases it when the process ends.
    _lock: Option<Arc<File>>,
}

/// File that a process locks while it uses the run.
const LOCK: &str = ".lock";

/// File that is written and removed immediately, to check that the directory is writable.
const PROBE: &str = ".writable";

impl RunDir {
    /// Creates the directory `path` and its parents; it must not exist yet or must be empty.
    ///
    /// # Errors
    /// The directory is not empty, or is not writable.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let dir_error = |message: String| Error::RunDir { path: path.clone(), message };
        match fs::read_dir(&path) {
            Ok(entries) => {
                // A process that was killed early leaves its lock file and the probe.
                let is_leftover =
                    |name: &OsString| [LOCK, PROBE].iter().any(|file| name == *file) || is_temporary(name);
                let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
                if names.iter().any(|name| name == "checkpoints") {
                    return Err(dir_error(
                        "it already contains a run; resume it, or choose another directory".into(),
                    ));
                }
                if !names.iter().all(is_leftover) {
                    return Err(dir_error(
                        "the directory is not empty, and runs are never overwritten; choose a new directory"
                            .into(),
                    ));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&path)
                    .map_err(|e| dir_error(format!("cannot create the directory: {e}")))?;
            }
            Err(error) => return Err(dir_error(format!("cannot use the directory: {error}"))),
        }
        // Only an attempt shows whether writing is permitted: better now than after the first epoch.
        let probe = path.join(PROBE);
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|e| {
            dir_error(format!(
                "cannot write to the directory: {e}; choose another one, or change its permissions"
            ))
        })?;
        let lock = lock(&path)?;
        remove_temporary_files(&path);
        Ok(Self { path, is_new: true, _lock: lock })
    }

    /// Opens the directory of a run that was started before, or creates it, for
    /// [`auto_resume`](crate::TrainerBuilder::auto_resume).
    ///
    /// # Errors
    /// The directory holds files but not a run, is not writable, or is in use by another process.
    pub fn open_or_create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if path.join(LOCK).exists() || path.join("checkpoints").is_dir() {
            Self::open(path)
        } else {
            Self::create(path)
        }
    }

    /// Opens the directory of a run that was started before, to [resume](crate::Trainer::resume) it.
    ///
    /// # Errors
    /// The directory does not exist, or is in use by another process.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.is_dir() {
            return Err(Error::RunDir {
                path,
                message: "no such directory; expected the directory of a run".into(),
            });
        }
        let lock = lock(&path)?;
        remove_temporary_files(&path);
        Ok(Self { path, is_new: false, _lock: lock })
    }

    /// Creates a directory `<model>-<UTC time>-<id>` in `parent`; the id separates runs that start in the same second.
    ///
    /// # Errors
    /// `parent` is not writable.
    pub fn unique(parent: impl AsRef<Path>, model: &str) -> Result<Self> {
        Self::create(Self::unused_path(parent, model))
    }

    /// Returns a path as [`unique`](Self::unique) uses it, without creating the directory.
    pub fn unused_path(parent: impl AsRef<Path>, model: &str) -> PathBuf {
        let time = format_utc(SystemTime::now()).replace(['-', ':', 'Z'], "").replace(' ', "-");
        loop {
            // A new `RandomState` is seeded by the system.
            let id = std::collections::hash_map::RandomState::new().build_hasher().finish() & 0xffff;
            let path = parent.as_ref().join(format!("{model}-{time}-{id:04x}"));
            if !path.exists() {
                return path;
            }
        }
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the directory was created for this run rather than opened.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns the last component of the path, which is the name of the run.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

/// Locks the directory for this process; `None` where the file system does not support locks.
fn lock(path: &Path) -> Result<Option<Arc<File>>> {
    let file = path.join(LOCK);
    let dir_error = |message: String| Error::RunDir { path: path.to_path_buf(), message };
    let file = File::create(&file).map_err(|e| dir_error(format!("cannot write to the directory: {e}")))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Arc::new(file))),
        Err(TryLockError::WouldBlock) => {
            Err(dir_error("another process is using this run; wait for it, or stop it".into()))
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_the_same_second_get_different_dirs() {
        let parent = tempfile::tempdir().unwrap();
        let names: std::collections::HashSet<String> =
            (0..20).map(|_| RunDir::unique(parent.path().join("runs"), "m").unwrap().name()).collect();
        assert_eq!(names.len(), 20);
    }

    #[test]
    fn create_rejects_a_non_empty_dir() {
        let dir = tempfile::tempdir().unwrap();
        RunDir::create(dir.path()).unwrap();
        std::fs::write(dir.path().join("x"), "x").unwrap();
        let error = RunDir::create(dir.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        let error = RunDir::create(dir.path().join("x")).unwrap_err().to_string();
        assert!(error.contains("cannot use the directory"), "{error}");
    }
}
