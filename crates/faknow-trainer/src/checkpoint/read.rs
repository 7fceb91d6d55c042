//! Reads checkpoints, and lists them; nothing is believed before its checksum is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use faknow_model::weights::from_bytes;
use twox_hash::XxHash3_128;

use super::disk::{self, FileInfo, checksum};
use super::error::{CheckpointError, Result};
use super::manifest::{MANIFEST, Manifest, STATE};
use super::store::{CheckpointStore, OLD, TMP, check_name, exists};
use super::{Checkpoint, CheckpointInfo};

/// How often a reader looks again when the checkpoint changes under its eyes.
const TRIES: usize = 10;

/// A directory among the checkpoints.
#[derive(Debug)]
#[non_exhaustive]
pub struct CheckpointEntry {
    /// Its name.
    pub name: String,
    /// What its manifest says, or why it is not believed. Other files were not looked at.
    pub info: std::result::Result<CheckpointInfo, CheckpointError>,
}

impl CheckpointStore {
    /// Reads a checkpoint, every byte of it checked; its tensors are on the CPU.
    ///
    /// Memory holds the largest file twice for a moment. A process that writes meanwhile does no harm: what is read
    /// is the former checkpoint or the new one.
    ///
    /// # Errors
    /// It is missing, incomplete, corrupted, foreign or of a newer format; the error names the newest good one.
    pub fn read(&self, name: &str) -> Result<Checkpoint> {
        self.steadily(name, read_dir)
    }

    /// Reads what a checkpoint's manifest says; its other files are not looked at.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_info(&self, name: &str) -> Result<CheckpointInfo> {
        self.steadily(name, |dir| Ok(Manifest::read(dir)?.info))
    }

    /// Checks every byte of a checkpoint.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn verify(&self, name: &str) -> Result<CheckpointInfo> {
        self.steadily(name, verify_dir)
    }

    /// All names that [`read`](Self::read) would look at, the newest (by branch, step, epoch, batch and name) first and
    /// those that cannot be believed last; none if the directory cannot be read. What is being written is not among them.
    pub fn list(&self) -> Vec<CheckpointEntry> {
        self.found().into_iter().map(|(found, _)| found).collect()
    }

    /// The newest checkpoint other than `except` of which every byte is right; `""` excepts none.
    pub fn newest_valid(&self, except: &str) -> Option<(String, CheckpointInfo)> {
        self.found()
            .into_iter()
            .filter(|(found, _)| found.name != except && found.info.is_ok())
            .find_map(|(found, dir)| Some((found.name, verify_dir(&dir).ok()?)))
    }

    /// All checkpoints with their directories, the newest first.
    fn found(&self) -> Vec<(CheckpointEntry, PathBuf)> {
        let names: BTreeSet<String> = fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|name| [TMP, OLD].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(&name).to_owned())
            .filter(|name| check_name(name).is_ok())
            .collect();
        let mut found: Vec<(CheckpointEntry, PathBuf)> = names
            .into_iter()
            .filter_map(|name| {
                let dir = self.locate(&name).ok()??;
                let info = dir.is_dir().then(|| Manifest::read(&dir).map(|manifest| manifest.info))?;
                Some((CheckpointEntry { name, info }, dir))
            })
            .collect();
        let age = |found: &CheckpointEntry| {
            found.info.as_ref().ok().map(|f| (f.branch, f.step, f.epoch, f.batch, f.samples))
        };
        found.sort_by(|(a, _), (b, _)| age(b).cmp(&age(a)).then_with(|| a.name.cmp(&b.name)));
        found
    }

    /// Reads a directory that another process may be replacing, again if it did.
    fn steadily<T>(&self, name: &str, read: impl Fn(&Path) -> Result<T>) -> Result<T> {
        check_name(name)?;
        // Where a checkpoint lies counts too: the same content may be renamed to its place while it is read.
        let look = || -> Result<_> {
            let dir = self.locate(name)?;
            let manifest = dir.as_ref().and_then(|dir| fs::read(dir.join(MANIFEST)).ok());
            Ok((dir, manifest))
        };
        let mut tries = 0;
        loop {
            let before = look()?;
            let (dir, _) = &before;
            let error = match dir {
                Some(dir) => match read(dir) {
                    // Outside of its place the directory may hold the next checkpoint by now, which is not published yet.
                    Ok(_) if *dir != self.path(name) && tries < TRIES && exists(&self.path(name))? => {
                        tries += 1;
                        continue;
                    }
                    Ok(content) => return Ok(content),
                    Err(error) => error,
                },
                None => CheckpointError::Missing { dir: self.path(name), fallback: None },
            };
            tries += 1;
            // A directory that was replaced between two looks at it is there at the next.
            let again = match error {
                CheckpointError::Missing { .. } => tries < TRIES,
                CheckpointError::Incomplete { .. } if tries == 1 => true,
                _ => tries < TRIES && look()? != before,
            };
            if !again {
                return Err(error.with_fallback(|| self.fallback(name)));
            }
        }
    }

    /// Where the checkpoint of this name is: in its directory, else where an interrupted change has left it.
    fn locate(&self, name: &str) -> Result<Option<PathBuf>> {
        let (path, tmp, old) = (self.path(name), self.hidden(TMP, name), self.hidden(OLD, name));
        Ok(if exists(&path)? {
            Some(path)
        } else if verify_dir(&tmp).is_ok() {
            Some(tmp)
        } else if exists(&path)? {
            Some(path) // published in this very moment
        } else {
            Some(old).filter(|old| old.is_dir())
        })
    }
}

/// Reads and checks all of a directory.
fn read_dir(dir: &Path) -> Result<Checkpoint> {
    let manifest = Manifest::read(dir)?;
    let mut checkpoint = Checkpoint::default();
    if let Some(info) = manifest.files.get(STATE) {
        checkpoint.state = serde_json::from_slice(&read_file(dir, STATE, info)?)
            .map_err(|error| CheckpointError::corrupted(dir, STATE, format!("is not valid JSON: {error}")))?;
    }
    for (group, file, info) in manifest.groups() {
        let bytes = read_file(dir, file, info)?;
        let group_tensors = from_bytes(&bytes).map_err(|error| {
            let reason = match error {
                faknow_model::Error::Bytes { reason } => reason,
                other => other.to_string(),
            };
            CheckpointError::corrupted(dir, file, format!("cannot be read: {reason}"))
        })?;
        checkpoint.tensors.insert(group.to_owned(), group_tensors);
    }
    checkpoint.info = manifest.info;
    Ok(checkpoint)
}

/// Checks all of a directory, a piece of a file at a time.
pub(super) fn verify_dir(dir: &Path) -> Result<CheckpointInfo> {
    let manifest = Manifest::read(dir)?;
    let mut chunk = disk::buffer();
    for (name, info) in &manifest.files {
        let mut file = open(dir, name, info)?;
        let mut hash = XxHash3_128::new();
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => hash.write(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CheckpointError::io(&dir.join(name))(error)),
            }
        }
        compare(dir, name, info, &format!("{:032x}", hash.finish_128()))?;
    }
    Ok(manifest.info)
}

/// Whether a directory has a good manifest, and all files with their sizes.
pub(super) fn glance(dir: &Path) -> Result<CheckpointInfo> {
    let manifest = Manifest::read(dir)?;
    for (name, info) in &manifest.files {
        open(dir, name, info)?;
    }
    Ok(manifest.info)
}

/// The bytes of a file, which have the size and the checksum that the manifest says.
fn read_file(dir: &Path, name: &str, info: &FileInfo) -> Result<Vec<u8>> {
    let mut file = open(dir, name, info)?;
    let mut bytes = Vec::with_capacity(usize::try_from(info.bytes).unwrap_or(0));
    file.read_to_end(&mut bytes).map_err(CheckpointError::io(&dir.join(name)))?;
    compare(dir, name, info, &checksum(&bytes))?;
    Ok(bytes)
}

fn open(dir: &Path, name: &str, info: &FileInfo) -> Result<File> {
    let path = dir.join(name);
    let meta = match fs::metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(CheckpointError::Incomplete {
                dir: dir.to_path_buf(),
                file: name.to_owned(),
                fallback: None,
            });
        }
        Err(error) => return Err(CheckpointError::io(&path)(error)),
    };
    if !meta.is_file() {
        return Err(CheckpointError::corrupted(dir, name, "is not a regular file"));
    }
    if meta.len() != info.bytes {
        let what = format!("has {} bytes, not the {} that were written", meta.len(), info.bytes);
        return Err(CheckpointError::corrupted(dir, name, what));
    }
    File::open(&path).map_err(CheckpointError::io(&path))
}

fn compare(dir: &Path, name: &str, info: &FileInfo, sum: &str) -> Result<()> {
    if sum == info.xxh3_128 {
        return Ok(());
    }
    let what = format!("differs from its checksum (it has {sum}, {} was written)", info.xxh3_128);
    Err(CheckpointError::corrupted(dir, name, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_moves_to_its_place_while_it_is_read_is_read_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        store.save("last", &Checkpoint::default()).unwrap();
        // A writer was stopped before its last rename, and continues when the reader has read the manifest.
        let (tmp, last) = (store.hidden(TMP, "last"), store.path("last"));
        fs::rename(&last, &tmp).unwrap();
        let info = store.steadily("last", |dir| {
            let info = Manifest::read(dir)?.info;
            if dir == tmp {
                fs::rename(&tmp, &last).unwrap();
            }
            File::open(dir.join(MANIFEST)).map_err(CheckpointError::io(dir))?;
            Ok(info)
        });
        assert_eq!(info.unwrap(), CheckpointInfo::default());
    }
    #[test]
    fn a_checkpoint_that_is_not_published_yet_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        let checkpoint = |step| Checkpoint {
            info: CheckpointInfo { step, ..CheckpointInfo::default() },
            ..Checkpoint::default()
        };
        store.save("next", &checkpoint(2)).unwrap();
        store.save("last", &checkpoint(1)).unwrap();
        let (tmp, last) = (store.hidden(TMP, "last"), store.path("last"));
        fs::rename(&last, &tmp).unwrap();
        let info = store.steadily("last", |dir| {
            // The writer publishes the first checkpoint and completes the second one after the reader has looked.
            if dir == tmp {
                fs::rename(&tmp, &last).unwrap();
                fs::rename(store.path("next"), &tmp).unwrap();
            }
            Ok(Manifest::read(dir)?.info)
        });
        assert_eq!(info.unwrap().step, 1);
    }
}
