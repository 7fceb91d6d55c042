//! The lock of a directory: held by one process, which it names.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use faknow_callbacks::format_utc;

/// File that a process locks while it uses the directory. It remains afterwards, since a process could otherwise lock a file
/// that another one has just removed.
pub(crate) const LOCK: &str = ".lock";

/// The lock of a directory. Clones share it; the system releases it with the last one, also when the process is killed.
#[derive(Debug, Clone)]
pub(crate) struct DirLock {
    /// `None` where the file system does not support locks.
    _file: Option<Arc<File>>,
}

/// The reason why a directory cannot be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another command holds the lock: this one.
    Held(String),
    /// The file cannot be written.
    Io(io::Error),
}

impl DirLock {
    /// Locks a directory, and records this process as the holder.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, LockError> {
        // Not truncated: the file may belong to the holder.
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(dir.join(LOCK)).map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {
                let holder = describe_this_process();
                file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(LockError::Io)?;
                Ok(Self { _file: Some(Arc::new(file)) })
            }
            Err(TryLockError::WouldBlock) => {
                // A process that has just taken the lock is about to write its name.
                sleep(Duration::from_millis(20));
                Err(LockError::Held(holder(&mut file)))
            }
            Err(TryLockError::Error(_)) => Ok(Self { _file: None }),
        }
    }

    /// Returns who holds the lock of a directory, if it is held. It does not create the file.
    pub(crate) fn holder(dir: &Path) -> Option<String> {
        let mut file = File::open(dir.join(LOCK)).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| holder(&mut file))
    }
}

/// Returns the recorded holder.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), text) if !text.is_empty() => text.to_owned(),
        _ => "another process".to_owned(),
    }
}

/// Returns id, command and start of the use: `process 123 (faknow train …) since 2026-01-31 12:00:00Z`.
fn describe_this_process() -> String {
    let command: Vec<String> = std::env::args_os()
        .enumerate()
        .map(|(index, argument)| match index {
            0 => Path::new(&argument).file_name().unwrap_or(&argument).to_string_lossy().into_owned(),
            _ => argument.to_string_lossy().into_owned(),
        })
        .collect();
    let command: String = command.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let shown: String = command.chars().take(100).collect();
    let more = if shown.len() < command.len() { "…" } else { "" };
    format!("process {} ({shown}{more}) since {}", std::process::id(), format_utc(SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_holder_until_the_last_clone_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        // Of a process that was killed.
        std::fs::write(dir.path().join(LOCK), "process 1 (an old and longer command, which was killed)")
            .unwrap();
        assert_eq!(DirLock::holder(dir.path()), None);
        let lock = DirLock::acquire(dir.path()).unwrap();
        let clone = lock.clone();
        drop(lock);
        let LockError::Held(holder) = DirLock::acquire(dir.path()).unwrap_err() else { panic!("not held") };
        assert_eq!(DirLock::holder(dir.path()), Some(holder.clone()));
        assert!(holder.starts_with(&format!("process {} (", std::process::id())), "{holder}");
        assert!(holder.contains(") since 2") && !holder.contains("killed"), "{holder}");
        drop(clone);
        assert_eq!(DirLock::holder(dir.path()), None);
        assert!(DirLock::acquire(dir.path()).is_ok());
    }
}
