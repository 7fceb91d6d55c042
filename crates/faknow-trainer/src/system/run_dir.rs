//! The directory of a run: made once, owned by one run, never overwritten.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use faknow_callbacks::format_utc;

use crate::{Error, Result};

/// A run's own directory.
///
/// | path | content |
/// |---|---|
/// | `config.toml` | every setting, the seed, versions; from `faknow::train`, a trainer alone writes none |
/// | `run.log`, `history.jsonl`, `metrics.csv`, `test_metrics.csv`, `tensorboard/` | what the run reported, flushed as it goes |
/// | `checkpoints/` | the run as it stands, as it was best, …: see [`CheckpointPolicy`](crate::CheckpointPolicy) |
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    /// Whether it was created for this run, and holds nothing yet.
    is_new: bool,
    /// Locked as long as any clone lives, and by the system no longer than the process does.
    _lock: Option<Arc<File>>,
}

/// The file whose lock says that a process is at work on the run.
const LOCK: &str = ".lock";

/// The file that is written, and removed at once, to see that the directory takes files.
const PROBE: &str = ".writable";

impl RunDir {
    /// Makes the directory `path` (and its parents), which must not exist yet, or be empty.
    ///
    /// # Errors
    /// The directory holds something, or cannot be written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let refuse = |message: String| Error::RunDir { path: path.clone(), message };
        match fs::read_dir(&path) {
            Ok(entries) => {
                // A process that was killed at once leaves its lock and the probe.
                let is_left = |name: &OsString| [LOCK, PROBE].iter().any(|left| name == *left);
                let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
                if names.iter().any(|name| name == "checkpoints") {
                    return Err(refuse(
                        "it holds a run already; resume that one, or name a new directory".into(),
                    ));
                }
                if !names.iter().all(is_left) {
                    return Err(refuse(
                        "the directory is not empty; a run never overwrites another: name a new directory"
                            .into(),
                    ));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&path).map_err(|e| refuse(format!("cannot make the directory: {e}")))?;
            }
            Err(error) => return Err(refuse(format!("cannot use the directory: {error}"))),
        }
        // Permission is only known by trying: better now than after the first epoch.
        let probe = path.join(PROBE);
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|e| {
            refuse(format!(
                "cannot write into the directory: {e}; name another one, or change its permissions"
            ))
        })?;
        let lock = lock(&path)?;
        Ok(Self { path, is_new: true, _lock: lock })
    }

    /// Opens the directory of a run that was started before, or creates it, for
    /// [`auto_resume`](crate::TrainerBuilder::auto_resume).
    ///
    /// # Errors
    /// The directory holds something else than a run, cannot be written, or another process is at work on the run.
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
    /// There is no such directory, or another process is at work on the run.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.is_dir() {
            return Err(Error::RunDir { path, message: "no such directory; name that of a run".into() });
        }
        let lock = lock(&path)?;
        Ok(Self { path, is_new: false, _lock: lock })
    }

    /// Makes a directory `<model>-<UTC time>-<id>` below `parent`; the id keeps runs of the same second apart.
    ///
    /// # Errors
    /// `parent` cannot be written.
    pub fn unique(parent: impl AsRef<Path>, model: &str) -> Result<Self> {
        Self::create(Self::unused_path(parent, model))
    }

    /// The path that [`unique`](Self::unique) would use; nothing is made yet.
    pub fn unused_path(parent: impl AsRef<Path>, model: &str) -> PathBuf {
        let time = format_utc(SystemTime::now()).replace(['-', ':', 'Z'], "").replace(' ', "-");
        loop {
            // A fresh RandomState is seeded by the system's own randomness.
            let id = std::collections::hash_map::RandomState::new().build_hasher().finish() & 0xffff;
            let path = parent.as_ref().join(format!("{model}-{time}-{id:04x}"));
            if !path.exists() {
                return path;
            }
        }
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the directory was created for this run, rather than opened.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// The directory's own name, which is the run's name.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

/// Locks the directory for this process; `None` where the file system has no locks.
fn lock(path: &Path) -> Result<Option<Arc<File>>> {
    let file = path.join(LOCK);
    let refuse = |message: String| Error::RunDir { path: path.to_path_buf(), message };
    let file = File::create(&file).map_err(|e| refuse(format!("cannot write into the directory: {e}")))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Arc::new(file))),
        Err(TryLockError::WouldBlock) => {
            Err(refuse("another process is at work on this run; wait for it, or end it".into()))
        }
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_of_one_second_have_two_dirs() {
        let parent = tempfile::tempdir().unwrap();
        let names: std::collections::HashSet<String> =
            (0..20).map(|_| RunDir::unique(parent.path().join("runs"), "m").unwrap().name()).collect();
        assert_eq!(names.len(), 20);
    }

    #[test]
    fn a_dir_with_content_is_never_touched() {
        let dir = tempfile::tempdir().unwrap();
        RunDir::create(dir.path()).unwrap();
        std::fs::write(dir.path().join("x"), "x").unwrap();
        let error = RunDir::create(dir.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        let error = RunDir::create(dir.path().join("x")).unwrap_err().to_string();
        assert!(error.contains("cannot use the directory"), "{error}");
    }
}
