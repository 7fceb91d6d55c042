//! Writing, linking, renaming and removing checkpoints, safe against crashes at any point.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use faknow_model::weights::SafetensorsWriter;
use serde_json::Value;

use super::Checkpoint;
use super::disk::{self, Sink};
use super::error::{CheckpointError, FallbackCheckpoint, Result};
use super::manifest::{MANIFEST, Manifest, STATE, file_of, is_group};
use super::read;

/// A checkpoint that is being written.
pub(super) const TMP: &str = ".tmp-";
/// A checkpoint that is being replaced.
pub(super) const OLD: &str = ".old-";
/// A checkpoint that is being removed.
const REMOVED: &str = ".gone-";
/// Maximum nesting of the state: below the limit of serde_json, for state that is embedded in other values.
const MAX_DEPTH: usize = 100;

/// The checkpoints of a run: `RUN_DIR/checkpoints`, see the [module](super).
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    pub(super) dir: PathBuf,
}

impl CheckpointStore {
    /// Creates the store of a run; does not access the disk.
    pub fn new(run_dir: &Path) -> Self {
        Self { dir: run_dir.join("checkpoints") }
    }

    /// Returns the directory of a checkpoint, whether or not it exists.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a checkpoint; it replaces the existing one of this name after all of it is on the disk.
    ///
    /// # Errors
    /// The disk cannot be written or is full, the name or the content is not valid, or the path exists and is not a
    /// checkpoint. The existing checkpoint is not changed.
    pub fn save(&self, name: &str, checkpoint: &Checkpoint) -> Result<()> {
        self.write_dir(name, None, |dir| write(checkpoint, dir, &self.path(name)))
    }

    /// Writes a checkpoint as [`save`](Self::save) does, and renames the existing one of this name to `previous`.
    ///
    /// If the manifest or the size of a file of the existing one is wrong, it is dropped, and `previous` is not changed.
    ///
    /// # Errors
    /// As for [`save`](Self::save).
    pub fn save_keeping_previous(&self, name: &str, previous: &str, checkpoint: &Checkpoint) -> Result<()> {
        let previous = Some(previous).filter(|previous| *previous != name);
        self.write_dir(name, previous, |dir| write(checkpoint, dir, &self.path(name)))
    }

    /// Creates a second name for the checkpoint `from`; it replaces the existing checkpoint of that name.
    ///
    /// If the file system supports hard links, this takes neither space nor time. The two names are independent, since the
    /// files of a checkpoint are never modified.
    ///
    /// # Errors
    /// `from` does not exist or its manifest is not valid, and as for [`save`](Self::save).
    pub fn link(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        if from == to {
            return self.read_info(from).map(drop);
        }
        self.write_dir(to, None, |dir| {
            let from = self.path(from);
            let manifest = Manifest::read(&from)?;
            for file in manifest.files.keys().map(String::as_str).chain([MANIFEST]) {
                disk::link_or_copy(&from.join(file), &dir.join(file))?;
            }
            Ok(())
        })
    }

    /// Renames a checkpoint; it replaces the existing one of the name `to`.
    ///
    /// # Errors
    /// `from` does not exist, the disk cannot be written, or a path exists and is not a checkpoint.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.change(|| {
            check_name(from)?;
            check_name(to)?;
            self.recover()?;
            self.require_checkpoint(from)?;
            if from == to {
                return Ok(());
            }
            let old = self.set_aside(to)?;
            disk::rename(&self.path(from), &self.path(to)).inspect_err(|_| self.undo())?;
            disk::sync_dir(&self.dir)?;
            self.remove_old(old)
        })
    }

    /// Removes a checkpoint.
    ///
    /// # Errors
    /// It does not exist, is not a checkpoint, or the disk cannot be written.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.change(|| {
            check_name(name)?;
            self.recover()?;
            self.require_checkpoint(name)?;
            let removed = self.hidden(REMOVED, name);
            disk::rename(&self.path(name), &removed)?;
            disk::sync_dir(&self.dir)?;
            self.remove_old(Some(removed))
        })
    }

    /// Cleans up after a killed process: completes pending renames, and removes other temporary directories. A complete
    /// checkpoint that is the only one of its name is never lost.
    ///
    /// Call it before resuming a run. Every method that writes does this first.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn clean(&self) -> Result<()> {
        self.change(|| self.recover())
    }

    pub(super) fn hidden(&self, prefix: &str, name: &str) -> PathBuf {
        self.dir.join(format!("{prefix}{name}"))
    }

    /// Writes the files of a temporary directory with `fill`, and publishes it.
    fn write_dir(
        &self,
        name: &str,
        previous: Option<&str>,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        self.change(|| {
            check_name(name)?;
            previous.map_or(Ok(()), check_name)?;
            if !self.dir.is_dir() {
                disk::make_dir(&self.dir)?;
                self.dir.parent().map_or(Ok(()), disk::sync_dir)?;
            }
            self.recover()?;
            for name in [Some(name), previous].into_iter().flatten() {
                self.require_replaceable(name)?;
            }
            let tmp = self.hidden(TMP, name);
            disk::make_dir(&tmp)
                .and_then(|()| fill(&tmp))
                .and_then(|()| disk::sync_dir(&tmp))
                .inspect_err(|_| drop(disk::remove_dir(&tmp)))?;
            self.publish(&tmp, name, previous).inspect_err(|_| self.undo())
        })
    }

    /// Renames the complete directory `tmp` to `name`.
    fn publish(&self, tmp: &Path, name: &str, previous: Option<&str>) -> Result<()> {
        let old = match previous.filter(|_| read::verify_sizes(&self.path(name)).is_ok()) {
            Some(previous) => {
                let old = self.set_aside(previous)?;
                disk::rename(&self.path(name), &self.path(previous))?;
                old
            }
            None => self.set_aside(name)?,
        };
        disk::rename(tmp, &self.path(name))?;
        disk::sync_dir(&self.dir)?;
        self.remove_old(old)
    }

    /// Renames the existing checkpoint of this name, if any; returns its new path.
    fn set_aside(&self, name: &str) -> Result<Option<PathBuf>> {
        self.require_replaceable(name)?;
        if !exists(&self.path(name))? {
            return Ok(None);
        }
        let old = self.hidden(OLD, name);
        disk::rename(&self.path(name), &old)?;
        Ok(Some(old))
    }

    /// Removes a replaced directory. A failure does no harm: the next change tries again.
    fn remove_old(&self, old: Option<PathBuf>) -> Result<()> {
        if let Some(Err(error)) = old.map(|old| disk::remove_dir(&old)) {
            tracing::warn!(%error, "cannot remove an old checkpoint");
        }
        Ok(())
    }

    /// Recovers after a failed rename; errors are only logged.
    fn undo(&self) {
        if let Err(error) = self.recover() {
            tracing::warn!(%error, "cannot clean up an interrupted checkpoint");
        }
    }

    /// Completes or reverts interrupted changes, see the [module](super).
    fn recover(&self) -> Result<()> {
        let mut hidden = Vec::new();
        match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(CheckpointError::io(&self.dir)(error)),
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(CheckpointError::io(&self.dir))?.file_name();
                    hidden.extend(name.to_str().filter(|name| name.starts_with('.')).map(str::to_owned));
                }
            }
        }
        // New checkpoints before those that they replace.
        for prefix in [TMP, OLD, REMOVED] {
            for name in hidden.iter().filter_map(|name| name.strip_prefix(prefix)) {
                let (from, to) = (self.hidden(prefix, name), self.path(name));
                let should_restore = match prefix {
                    TMP => !exists(&to)? && read::verify_dir(&from).is_ok(),
                    OLD => !exists(&to)?,
                    _ => false,
                };
                if should_restore {
                    disk::rename(&from, &to)?;
                    disk::sync_dir(&self.dir)?;
                } else {
                    disk::remove_dir(&from)?;
                }
            }
        }
        Ok(())
    }

    /// Returns an error if the path exists and is not a checkpoint of this format; it may be a corrupted one.
    fn require_replaceable(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        if !exists(&path)? {
            return Ok(());
        }
        match Manifest::read(&path) {
            Err(
                error @ (CheckpointError::Foreign { .. }
                | CheckpointError::Newer { .. }
                | CheckpointError::Older { .. }),
            ) => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns an error if there is no checkpoint of this name.
    fn require_checkpoint(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        if !exists(&path)? {
            return Err(CheckpointError::Missing { dir: path, fallback: None });
        }
        self.require_replaceable(name)
    }

    /// Runs a change, and adds the newest valid checkpoint to its error.
    fn change(&self, change: impl FnOnce() -> Result<()>) -> Result<()> {
        change().map_err(|error| error.with_fallback(|| self.fallback("")))
    }

    /// Returns the newest valid checkpoint other than `except`, for messages.
    pub(super) fn fallback(&self, except: &str) -> Option<FallbackCheckpoint> {
        self.newest_valid(except).map(|(name, info)| FallbackCheckpoint {
            name,
            epoch: info.epoch,
            step: info.step,
        })
    }
}

/// Returns whether a path exists, as an entry of any kind.
pub(super) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(CheckpointError::io(path)(error)),
    }
}

pub(super) fn check_name(name: &str) -> Result<()> {
    let bad = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    if (1..=100).contains(&name.chars().count()) && !name.starts_with('.') && !name.contains(bad) {
        return Ok(());
    }
    Err(CheckpointError::InvalidName { name: name.to_owned() })
}

/// Writes all files of a checkpoint into `dir`, the manifest last; errors name the directory `target`.
fn write(checkpoint: &Checkpoint, dir: &Path, target: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    for (group, tensors) in &checkpoint.tensors {
        let reject = |what: String| CheckpointError::unsavable(target, format!("group `{group}`: {what}"));
        if !is_group(group) {
            return Err(reject("expected a name of a-z, 0-9, `-`, `_` and `.`, with no leading `.`".into()));
        }
        let unsavable = |error: faknow_model::Error| reject(error.to_string());
        let writer = SafetensorsWriter::new(tensors).map_err(unsavable)?;
        let mut sink = Sink::create(dir.join(file_of(group)))?;
        writer.write(|bytes| sink.write(bytes), unsavable)?;
        files.insert(file_of(group), sink.finish()?);
    }
    if depth(&checkpoint.state) > MAX_DEPTH {
        let what = format!("state: expected at most {MAX_DEPTH} levels of nesting, got more");
        return Err(CheckpointError::unsavable(target, what));
    }
    let mut json = serde_json::to_vec(&checkpoint.state)
        .map_err(|error| CheckpointError::unsavable(target, format!("state: not valid JSON: {error}")))?;
    json.push(b'\n');
    let mut sink = Sink::create(dir.join(STATE))?;
    sink.write(&json)?;
    files.insert(STATE.to_owned(), sink.finish()?);
    Manifest::new(checkpoint.info.clone(), files).write(dir)
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
