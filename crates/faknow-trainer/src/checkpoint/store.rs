//! Writes, renames and removes checkpoints; a kill at any instant leaves all that was good.

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
const GONE: &str = ".gone-";
/// What serde_json reads, with room for the state's own place in something larger.
const MAX_DEPTH: usize = 100;

/// The checkpoints of a run: `RUN_DIR/checkpoints`, see the [module](super).
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    pub(super) dir: PathBuf,
}

impl CheckpointStore {
    /// The store of a run; touches nothing on the disk.
    pub fn new(run_dir: &Path) -> Self {
        Self { dir: run_dir.join("checkpoints") }
    }

    /// The directory of a checkpoint, whether or not there is one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a checkpoint, which replaces the former one of this name once it is whole and on the disk.
    ///
    /// # Errors
    /// The disk cannot be written or is full, the name or the content cannot be saved, or something else than a
    /// checkpoint is in the way. The former checkpoint stays as it was.
    pub fn save(&self, name: &str, checkpoint: &Checkpoint) -> Result<()> {
        self.put(name, None, |dir| write(checkpoint, dir, &self.path(name)))
    }

    /// As [`save`](Self::save), but the former checkpoint of this name becomes `previous`, and replaces what that was.
    ///
    /// A former one that is visibly corrupted is dropped, and `previous` stays.
    ///
    /// # Errors
    /// As for [`save`](Self::save).
    pub fn save_keeping_previous(&self, name: &str, previous: &str, checkpoint: &Checkpoint) -> Result<()> {
        let previous = Some(previous).filter(|previous| *previous != name);
        self.put(name, previous, |dir| write(checkpoint, dir, &self.path(name)))
    }

    /// Gives the checkpoint `from` a second name, which replaces the former one of that name.
    ///
    /// Where the file system has hard links it takes no space and no time; the two names are independent all the
    /// same, since no file of a checkpoint is ever written again.
    ///
    /// # Errors
    /// There is no `from` or its manifest cannot be trusted, and as for [`save`](Self::save).
    pub fn link(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        if from == to {
            return self.read_info(from).map(drop);
        }
        self.put(to, None, |dir| {
            let from = self.path(from);
            let manifest = Manifest::read(&from)?;
            for file in manifest.files.keys().map(String::as_str).chain([MANIFEST]) {
                disk::link_or_copy(&from.join(file), &dir.join(file))?;
            }
            Ok(())
        })
    }

    /// Renames a checkpoint; it replaces the former one of the name `to`.
    ///
    /// # Errors
    /// There is no `from`, the disk cannot be written, or something else than a checkpoint is in the way.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.change(|| {
            check_name(from)?;
            check_name(to)?;
            self.recover()?;
            self.expect_ours(from)?;
            if from == to {
                return Ok(());
            }
            let old = self.set_aside(to)?;
            disk::rename(&self.path(from), &self.path(to)).inspect_err(|_| self.undo())?;
            disk::sync_dir(&self.dir)?;
            self.forget(old)
        })
    }

    /// Removes a checkpoint.
    ///
    /// # Errors
    /// There is none, it is something else than a checkpoint, or the disk cannot be written.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.change(|| {
            check_name(name)?;
            self.recover()?;
            self.expect_ours(name)?;
            let gone = self.hidden(GONE, name);
            disk::rename(&self.path(name), &gone)?;
            disk::sync_dir(&self.dir)?;
            self.forget(Some(gone))
        })
    }

    /// Tidies up after a process that was killed: what only needed a rename is completed, the rest of what was being
    /// written, replaced or removed goes away. No complete checkpoint that is the only one of its name is lost.
    ///
    /// Call it before a run is resumed. Every method that writes does the same first.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn clean(&self) -> Result<()> {
        self.change(|| self.recover())
    }

    pub(super) fn hidden(&self, prefix: &str, name: &str) -> PathBuf {
        self.dir.join(format!("{prefix}{name}"))
    }

    /// Fills a temporary directory and publishes it.
    fn put(&self, name: &str, previous: Option<&str>, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.change(|| {
            check_name(name)?;
            previous.map_or(Ok(()), check_name)?;
            if !self.dir.is_dir() {
                disk::make_dir(&self.dir)?;
                self.dir.parent().map_or(Ok(()), disk::sync_dir)?;
            }
            self.recover()?;
            for name in [Some(name), previous].into_iter().flatten() {
                self.expect_free_or_ours(name)?;
            }
            let tmp = self.hidden(TMP, name);
            disk::make_dir(&tmp)
                .and_then(|()| fill(&tmp))
                .and_then(|()| disk::sync_dir(&tmp))
                .inspect_err(|_| drop(disk::remove_dir(&tmp)))?;
            self.publish(&tmp, name, previous).inspect_err(|_| self.undo())
        })
    }

    /// Puts the complete directory `tmp` in the place of `name`.
    fn publish(&self, tmp: &Path, name: &str, previous: Option<&str>) -> Result<()> {
        let old = match previous.filter(|_| read::glance(&self.path(name)).is_ok()) {
            Some(previous) => {
                let old = self.set_aside(previous)?;
                disk::rename(&self.path(name), &self.path(previous))?;
                old
            }
            None => self.set_aside(name)?,
        };
        disk::rename(tmp, &self.path(name))?;
        disk::sync_dir(&self.dir)?;
        self.forget(old)
    }

    /// Makes room for a checkpoint of this name; returns where the former one is now.
    fn set_aside(&self, name: &str) -> Result<Option<PathBuf>> {
        self.expect_free_or_ours(name)?;
        if !exists(&self.path(name))? {
            return Ok(None);
        }
        let old = self.hidden(OLD, name);
        disk::rename(&self.path(name), &old)?;
        Ok(Some(old))
    }

    /// Removes what has been replaced. If that fails all is well still, and the next change tries again.
    fn forget(&self, old: Option<PathBuf>) -> Result<()> {
        if let Some(Err(error)) = old.map(|old| disk::remove_dir(&old)) {
            tracing::warn!(%error, "an old checkpoint could not be removed");
        }
        Ok(())
    }

    /// After a rename that failed: what was there comes back, or what was complete is completed.
    fn undo(&self) {
        if let Err(error) = self.recover() {
            tracing::warn!(%error, "an interrupted checkpoint could not be tidied up");
        }
    }

    /// Decides what is left of interrupted changes, see the [module](super).
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
        // What was being written before what it was to replace.
        for prefix in [TMP, OLD, GONE] {
            for name in hidden.iter().filter_map(|name| name.strip_prefix(prefix)) {
                let (from, to) = (self.hidden(prefix, name), self.path(name));
                let comes_back = match prefix {
                    TMP => !exists(&to)? && read::verify_dir(&from).is_ok(),
                    OLD => !exists(&to)?,
                    _ => false,
                };
                if comes_back {
                    disk::rename(&from, &to)?;
                    disk::sync_dir(&self.dir)?;
                } else {
                    disk::remove_dir(&from)?;
                }
            }
        }
        Ok(())
    }

    /// A name may be taken by a checkpoint, even a corrupted one, but by nothing that is not ours to remove.
    fn expect_free_or_ours(&self, name: &str) -> Result<()> {
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

    fn expect_ours(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        if !exists(&path)? {
            return Err(CheckpointError::Missing { dir: path, fallback: None });
        }
        self.expect_free_or_ours(name)
    }

    /// An error of a change says what there still is.
    fn change(&self, change: impl FnOnce() -> Result<()>) -> Result<()> {
        change().map_err(|error| error.with_fallback(|| self.fallback("")))
    }

    /// The newest good one other than `except`, for messages.
    pub(super) fn fallback(&self, except: &str) -> Option<FallbackCheckpoint> {
        self.newest_valid(except).map(|(name, info)| FallbackCheckpoint {
            name,
            epoch: info.epoch,
            step: info.step,
        })
    }
}

/// Whether something has this path, be it what it may.
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

/// Writes all files of a checkpoint, the manifest last; `place` is what errors call the directory.
fn write(checkpoint: &Checkpoint, dir: &Path, place: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    for (group, tensors) in &checkpoint.tensors {
        let refuse = |what: String| CheckpointError::unsavable(place, format!("group `{group}`: {what}"));
        if !is_group(group) {
            return Err(refuse("expected a name of a-z, 0-9, `-`, `_` and, not in front, `.`".into()));
        }
        let unsavable = |error: faknow_model::Error| refuse(error.to_string());
        let layout = SafetensorsWriter::new(tensors).map_err(unsavable)?;
        let mut sink = Sink::create(dir.join(file_of(group)))?;
        layout.write(|bytes| sink.write(bytes), unsavable)?;
        files.insert(file_of(group), sink.finish()?);
    }
    if depth(&checkpoint.state) > MAX_DEPTH {
        return Err(CheckpointError::unsavable(
            place,
            format!("its state is nested more than {MAX_DEPTH} deep"),
        ));
    }
    let mut json = serde_json::to_vec(&checkpoint.state).map_err(|error| {
        CheckpointError::unsavable(place, format!("its state is not valid JSON: {error}"))
    })?;
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
