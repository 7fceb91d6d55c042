//! The run directory: created once, owned by one run, never overwritten.

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use faknow_callbacks::format_utc;
use faknow_data::common::{is_temporary, remove_temporary_files};

use crate::system::lock::{DirLock, LOCK, LockError};
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
    /// Held while any clone is alive.
    _lock: DirLock,
}

impl RunDir {
    /// Creates the directory `path` and its parents; it must not exist yet or must be empty.
    ///
    /// # Errors
    /// The directory is not empty, or is not writable.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let dir_error = |message: String| Error::RunDir { path: path.clone(), message };
        match fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&path)
                    .map_err(|e| dir_error(format!("cannot create the directory: {e}")))?;
            }
            _ => check_unused(&path)?,
        }
        let lock = lock(&path)?;
        // Another process may have used it since the first check, which spares other directories the lock file.
        check_unused(&path)?;
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
        if Self::is_used(&path) { Self::open(path) } else { Self::create(path) }
    }

    /// Returns whether a run or a study was started in the directory.
    pub fn is_used(path: &Path) -> bool {
        path.join(LOCK).exists() || path.join("checkpoints").is_dir()
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

/// Rejects a directory with files, except those that a process leaves if it is killed early.
fn check_unused(path: &Path) -> Result<()> {
    let dir_error = |message: String| Error::RunDir { path: path.to_path_buf(), message };
    let entries = fs::read_dir(path).map_err(|e| dir_error(format!("cannot use the directory: {e}")))?;
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    if names.iter().all(|name| name == LOCK || is_temporary(name)) {
        return Ok(());
    }
    let own_lock = std::process::id().to_string();
    let holder = DirLock::holder(path).filter(|holder| !holder.starts_with(&format!("process {own_lock} ")));
    Err(dir_error(match holder {
        Some(holder) => in_use(&holder),
        None if names.iter().any(|name| name == "checkpoints") => {
            "it already contains a run; resume it, or choose another directory".into()
        }
        None => "the directory is not empty, and runs are never overwritten; choose a new directory".into(),
    }))
}

/// Locks the directory for this process.
fn lock(path: &Path) -> Result<DirLock> {
    DirLock::acquire(path).map_err(|error| {
        let message = match error {
            LockError::Held(holder) => in_use(&holder),
            LockError::Io(error) => format!(
                "cannot write to the directory: {error}; choose another one, or change its permissions"
            ),
        };
        Error::RunDir { path: path.to_path_buf(), message }
    })
}

fn in_use(holder: &str) -> String {
    format!("{holder} is using it; wait for it, or stop it")
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

    #[test]
    fn one_of_two_creators_wins() {
        let parent = tempfile::tempdir().unwrap();
        for n in 0..50 {
            let path = parent.path().join(n.to_string());
            let start = std::sync::Barrier::new(2);
            let create = || {
                start.wait();
                // What the winner writes stays when it is done.
                RunDir::create(&path).map(|dir| std::fs::write(dir.path().join("config.toml"), ""))
            };
            let results = std::thread::scope(|scope| {
                let both = [scope.spawn(create), scope.spawn(create)];
                both.map(|thread| thread.join().unwrap())
            });
            let error = match &results {
                [Ok(_), Err(error)] | [Err(error), Ok(_)] => error.to_string(),
                other => panic!("attempt {n}: {other:?}"),
            };
            assert!(error.contains("is using it") || error.contains("not empty"), "{error}");
        }
    }
}
