//! Reading, verifying and listing checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use faknow_model::weights::from_bytes;
use tch::Tensor;
use twox_hash::XxHash3_128;

use super::disk::{self, FileInfo, checksum};
use super::error::{CheckpointError, Result};
use super::manifest::{MANIFEST, Manifest, STATE, file_info};
use super::store::{CheckpointStore, OLD, TMP, check_name, exists};
use super::{Checkpoint, CheckpointInfo};
use crate::WEIGHTS_FILE;

/// Maximum number of attempts to read a checkpoint that another process is replacing.
const MAX_ATTEMPTS: usize = 10;

/// An entry of the list of checkpoints.
#[derive(Debug)]
#[non_exhaustive]
pub struct CheckpointEntry {
    /// The name of the checkpoint.
    pub name: String,
    /// The summary from its manifest, or why that is not valid. Other files were not checked.
    pub info: std::result::Result<CheckpointInfo, CheckpointError>,
}

impl CheckpointStore {
    /// Reads a checkpoint and verifies every byte; its tensors are on the CPU.
    ///
    /// Peak memory usage includes the largest file twice. If another process replaces the checkpoint at the same time,
    /// either the old or the new one is returned.
    ///
    /// # Errors
    /// It is missing, incomplete, corrupted, foreign or of another format version; the error names the newest valid one.
    pub fn read(&self, name: &str) -> Result<Checkpoint> {
        self.read_with_retry(name, read_dir)
    }

    /// Reads the weights of a checkpoint and verifies every byte of them; its other files, and its format version, are not
    /// checked. `None` if there is nothing to compare them with: the directory has no manifest of faknow, for example
    /// because it was written by `faknow::Detector::save`, or the manifest does not list the weights.
    ///
    /// # Errors
    /// There is no such directory, or the manifest or the weights are corrupted; the error names the newest valid checkpoint.
    pub fn read_weights(&self, name: &str) -> Result<Option<BTreeMap<String, Tensor>>> {
        self.read_with_retry(name, |dir| read_group(dir, WEIGHTS_FILE))
    }

    /// Reads the summary from a checkpoint's manifest; its other files are not checked.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_info(&self, name: &str) -> Result<CheckpointInfo> {
        self.read_with_retry(name, |dir| Ok(Manifest::read(dir)?.info))
    }

    /// Verifies every byte of a checkpoint, and returns its summary.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn verify(&self, name: &str) -> Result<CheckpointInfo> {
        self.read_with_retry(name, verify_dir)
    }

    /// Returns all checkpoints, the newest (by branch, step, epoch, batch and name) first and those without a valid
    /// manifest last; the list is empty if the directory cannot be read. Checkpoints that are still being written are not
    /// included.
    pub fn list(&self) -> Vec<CheckpointEntry> {
        self.entries().into_iter().map(|(entry, _)| entry).collect()
    }

    /// Returns the newest checkpoint other than `except` of which every byte is valid; `""` excludes none.
    pub fn newest_valid(&self, except: &str) -> Option<(String, CheckpointInfo)> {
        self.entries()
            .into_iter()
            .filter(|(entry, _)| entry.name != except && entry.info.is_ok())
            .find_map(|(entry, dir)| Some((entry.name, verify_dir(&dir).ok()?)))
    }

    /// Returns all checkpoints with their directories, the newest first.
    fn entries(&self) -> Vec<(CheckpointEntry, PathBuf)> {
        let names: BTreeSet<String> = fs::read_dir(&self.dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|name| [TMP, OLD].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(&name).to_owned())
            .filter(|name| check_name(name).is_ok())
            .collect();
        let mut entries: Vec<(CheckpointEntry, PathBuf)> = names
            .into_iter()
            .filter_map(|name| {
                let dir = self.locate(&name).ok()??;
                let info = dir.is_dir().then(|| Manifest::read(&dir).map(|manifest| manifest.info))?;
                Some((CheckpointEntry { name, info }, dir))
            })
            .collect();
        let recency = |entry: &CheckpointEntry| {
            entry
                .info
                .as_ref()
                .ok()
                .map(|info| (info.branch, info.step, info.epoch, info.batch, info.samples))
        };
        entries.sort_by(|(a, _), (b, _)| recency(b).cmp(&recency(a)).then_with(|| a.name.cmp(&b.name)));
        entries
    }

    /// Reads a checkpoint, again if another process replaced it meanwhile.
    fn read_with_retry<T>(&self, name: &str, read: impl Fn(&Path) -> Result<T>) -> Result<T> {
        check_name(name)?;
        // The directory is compared too: it may be renamed to `name` while it is read.
        let snapshot = || -> Result<_> {
            let dir = self.locate(name)?;
            let manifest = dir.as_ref().and_then(|dir| fs::read(dir.join(MANIFEST)).ok());
            Ok((dir, manifest))
        };
        let mut attempts = 0;
        loop {
            let before = snapshot()?;
            let (dir, _) = &before;
            let error = match dir {
                Some(dir) => match read(dir) {
                    // A hidden directory may contain the next checkpoint by now, which is not published yet.
                    Ok(_)
                        if *dir != self.path(name)
                            && attempts < MAX_ATTEMPTS
                            && exists(&self.path(name))? =>
                    {
                        attempts += 1;
                        continue;
                    }
                    Ok(content) => return Ok(content),
                    Err(error) => error,
                },
                None => CheckpointError::Missing { dir: self.path(name), fallback: None },
            };
            attempts += 1;
            // A directory that was missing because it was being replaced exists at the next attempt.
            let should_retry = match error {
                CheckpointError::Missing { .. } => attempts < MAX_ATTEMPTS,
                CheckpointError::Incomplete { .. } if attempts == 1 => true,
                _ => attempts < MAX_ATTEMPTS && snapshot()? != before,
            };
            if !should_retry {
                return Err(error.with_fallback(|| self.fallback(name)));
            }
        }
    }

    /// Returns the directory of a checkpoint: its own, else the one where an interrupted change has left it.
    fn locate(&self, name: &str) -> Result<Option<PathBuf>> {
        let (path, tmp, old) = (self.path(name), self.hidden(TMP, name), self.hidden(OLD, name));
        Ok(if exists(&path)? {
            Some(path)
        } else if verify_dir(&tmp).is_ok() {
            Some(tmp)
        } else if exists(&path)? {
            Some(path) // published since the first check
        } else {
            Some(old).filter(|old| old.is_dir())
        })
    }
}

/// Reads a file of tensors, such as `model.safetensors`, and verifies every byte if it belongs to a checkpoint. `None` if there
/// is nothing to compare it with: there is no manifest of faknow in its directory, or it does not list the file.
///
/// # Errors
/// The file is missing, or the manifest or the file is corrupted.
pub fn read_weights_file(path: &Path) -> Result<Option<BTreeMap<String, Tensor>>> {
    match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
        (Some(dir), Some(name)) if !dir.as_os_str().is_empty() => read_group(dir, name),
        (Some(_), Some(name)) => read_group(Path::new("."), name),
        _ => Ok(None),
    }
}

/// Reads the tensors of a file by the manifest of its directory.
fn read_group(dir: &Path, file: &str) -> Result<Option<BTreeMap<String, Tensor>>> {
    let info = match file_info(dir, file) {
        Err(CheckpointError::Foreign { .. }) => None,
        Err(CheckpointError::Incomplete { file, .. }) if file == MANIFEST => None,
        info => info?,
    };
    info.map(|info| read_tensors(dir, file, &info)).transpose()
}

/// Reads and verifies all files of a directory.
fn read_dir(dir: &Path) -> Result<Checkpoint> {
    let manifest = Manifest::read(dir)?;
    let mut checkpoint = Checkpoint::default();
    if let Some(info) = manifest.files.get(STATE) {
        checkpoint.state = serde_json::from_slice(&read_file(dir, STATE, info)?)
            .map_err(|error| CheckpointError::corrupted(dir, STATE, format!("not valid JSON: {error}")))?;
    }
    for (group, file, info) in manifest.groups() {
        checkpoint.tensors.insert(group.to_owned(), read_tensors(dir, file, info)?);
    }
    checkpoint.info = manifest.info;
    Ok(checkpoint)
}

/// Reads the tensors of a file, and verifies its size and checksum.
fn read_tensors(dir: &Path, file: &str, info: &FileInfo) -> Result<BTreeMap<String, Tensor>> {
    from_bytes(&read_file(dir, file, info)?).map_err(|error| {
        let reason = match error {
            faknow_model::Error::Bytes { reason } => reason,
            other => other.to_string(),
        };
        CheckpointError::corrupted(dir, file, format!("cannot be read: {reason}"))
    })
}

/// Verifies all files of a directory, reading them in chunks.
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

/// Verifies the manifest of a directory, and that all files exist with the right sizes.
pub(super) fn verify_sizes(dir: &Path) -> Result<CheckpointInfo> {
    let manifest = Manifest::read(dir)?;
    for (name, info) in &manifest.files {
        open(dir, name, info)?;
    }
    Ok(manifest.info)
}

/// Reads a file, and verifies its size and checksum.
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
        return Err(CheckpointError::corrupted(dir, name, "not a regular file"));
    }
    if meta.len() != info.bytes {
        let what = format!("expected {} bytes, got {}", info.bytes, meta.len());
        return Err(CheckpointError::corrupted(dir, name, what));
    }
    File::open(&path).map_err(CheckpointError::io(&path))
}

fn compare(dir: &Path, name: &str, info: &FileInfo, sum: &str) -> Result<()> {
    if sum == info.xxh3_128 {
        return Ok(());
    }
    let what = format!("checksum: expected {}, got {sum}", info.xxh3_128);
    Err(CheckpointError::corrupted(dir, name, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_retries_if_checkpoint_is_published_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        store.save("last", &Checkpoint::default()).unwrap();
        // A writer was interrupted before its last rename, and continues when the reader has read the manifest.
        let (tmp, last) = (store.hidden(TMP, "last"), store.path("last"));
        fs::rename(&last, &tmp).unwrap();
        let info = store.read_with_retry("last", |dir| {
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
    fn read_ignores_unpublished_checkpoint() {
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
        let info = store.read_with_retry("last", |dir| {
            // After the reader has located `.tmp-last`, the writer publishes it and completes the next checkpoint there.
            if dir == tmp {
                fs::rename(&tmp, &last).unwrap();
                fs::rename(store.path("next"), &tmp).unwrap();
            }
            Ok(Manifest::read(dir)?.info)
        });
        assert_eq!(info.unwrap().step, 1);
    }
}
