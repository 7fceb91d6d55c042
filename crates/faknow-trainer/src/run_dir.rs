//! The folder of a run: made once, owned by one run, never overwritten.

use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use faknow_callbacks::format_utc;

use crate::{Error, Result};

/// A run's own folder.
///
/// | path | content |
/// |---|---|
/// | `config.toml` | every setting, the seed, versions; from the recipes of `faknow`, a trainer alone writes none |
/// | `run.log`, `history.jsonl`, `metrics.csv`, `tensorboard/` | what the run reported, flushed as it goes |
/// | `checkpoints/best/`, `checkpoints/last/` | weights as `model.safetensors`, and of what epoch they are |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes the folder `path` (and its parents), which must not exist yet, or be empty.
    ///
    /// # Errors
    /// The folder holds something, or cannot be written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let refuse = |message: String| Error::RunDir { path: path.clone(), message };
        match fs::read_dir(&path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(refuse(
                        "the folder is not empty; a run never overwrites another: name a new folder".into(),
                    ));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&path).map_err(|e| refuse(format!("cannot make the folder: {e}")))?;
            }
            Err(error) => return Err(refuse(format!("cannot use the folder: {error}"))),
        }
        // Permission is only known by trying: better now than after the first epoch.
        let probe = path.join(".writable");
        fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|e| {
            refuse(format!("cannot write into the folder: {e}; name another one, or change its permissions"))
        })?;
        Ok(Self { path })
    }

    /// Makes a folder `<model>-<UTC time>-<id>` below `parent`; the id keeps runs of the same second apart.
    ///
    /// # Errors
    /// `parent` cannot be written.
    pub fn unique(parent: impl AsRef<Path>, model: &str) -> Result<Self> {
        let time = format_utc(SystemTime::now()).replace(['-', ':', 'Z'], "").replace(' ', "-");
        loop {
            // A fresh RandomState is seeded by the system's own randomness.
            let id = std::collections::hash_map::RandomState::new().build_hasher().finish() & 0xffff;
            let path = parent.as_ref().join(format!("{model}-{time}-{id:04x}"));
            if !path.exists() {
                return Self::create(path);
            }
        }
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder's own name, which is the run's name.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_of_one_second_have_two_folders() {
        let parent = tempfile::tempdir().unwrap();
        let names: std::collections::HashSet<String> =
            (0..20).map(|_| RunDir::unique(parent.path().join("runs"), "m").unwrap().name()).collect();
        assert_eq!(names.len(), 20);
    }

    #[test]
    fn a_folder_with_content_is_never_touched() {
        let folder = tempfile::tempdir().unwrap();
        RunDir::create(folder.path()).unwrap();
        std::fs::write(folder.path().join("x"), "x").unwrap();
        let error = RunDir::create(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        let error = RunDir::create(folder.path().join("x")).unwrap_err().to_string();
        assert!(error.contains("cannot use the folder"), "{error}");
    }
}
