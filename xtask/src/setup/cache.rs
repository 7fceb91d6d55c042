//! The per-user cache: its directory, its lock, work directories that become results by a rename, and what is complete.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The file inside a result that lists its files and their sizes; it is written last.
const MANIFEST: &str = "faknow-manifest.txt";

/// The cache, locked for this process until it is dropped.
pub struct Cache {
    /// The directory of the cache.
    pub root: PathBuf,
    _lock: File,
}

impl Cache {
    /// Opens the cache and waits until no other process works in it; removes what interrupted runs left.
    pub fn lock() -> Result<Self> {
        let root = directory();
        let hint = || {
            format!("cannot write to the cache {}; FAKNOW_CACHE_DIR names another directory", root.display())
        };
        fs::create_dir_all(&root).with_context(hint)?;
        let file = File::create(root.join(".lock")).with_context(hint)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("  another setup works in {}; waiting for it", root.display());
                file.lock().with_context(hint)?;
            }
            // Some network file systems have no locks; work directories and renames still keep runs apart.
            Err(TryLockError::Error(_)) => return Ok(Self { root, _lock: file }),
        }
        for entry in fs::read_dir(&root).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("work-") {
                // An orphaned download may still write there; the next run tries again.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(Self { root, _lock: file })
    }

    /// Returns a new, empty work directory next to the results, so that a rename can publish it; it is removed when dropped.
    pub fn work_dir(&self) -> Result<tempfile::TempDir> {
        let dir = tempfile::Builder::new().prefix("work-").tempdir_in(&self.root);
        dir.with_context(|| format!("cannot create a directory in {}", self.root.display()))
    }

    /// Fails where the file system has less room than `needed` bytes.
    pub fn require_space(&self, needed: u64) -> Result<()> {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        match fs4::available_space(&self.root) {
            Ok(free) if free < needed => bail!(
                "not enough disk space: {} has {:.1} GB free, and this needs {:.1} GB for a while; free some, or set \
                 FAKNOW_CACHE_DIR to a directory on a larger disk",
                self.root.display(),
                gigabytes(free),
                gigabytes(needed)
            ),
            _ => Ok(()),
        }
    }
}

/// Makes `made`, a directory in `work`, the result at `place`, in one step; replaces what was there.
pub fn publish(work: &Path, made: &Path, place: &Path) -> Result<()> {
    let path = made.join(MANIFEST);
    fs::write(&path, listing(made)?).with_context(|| format!("cannot write {}", path.display()))?;
    File::open(&path)?.sync_all()?;
    if place.exists() {
        fs::rename(place, work.join("replaced"))
            .with_context(|| format!("cannot move {} away", place.display()))?;
    }
    fs::rename(made, place).with_context(|| format!("cannot move {} to its place", place.display()))
}

/// Returns whether a directory was published. Its files may have changed since: some systems replace the certificates of
/// Python's packages.
pub fn is_published(dir: &Path) -> bool {
    dir.join(MANIFEST).is_file()
}

/// Returns whether a directory contains every file that its manifest lists, each with its size.
pub fn is_complete(dir: &Path) -> bool {
    let fault = first_fault(dir);
    if let Some(fault) = fault.as_ref().filter(|_| dir.exists()) {
        eprintln!("  {} is corrupted ({fault}); making it again", dir.display());
    }
    fault.is_none()
}

fn first_fault(dir: &Path) -> Option<String> {
    let Ok(manifest) = fs::read_to_string(dir.join(MANIFEST)) else { return Some(format!("no {MANIFEST}")) };
    let found = listing(dir).unwrap_or_default();
    let found: std::collections::HashSet<&str> = found.lines().collect();
    let (head, files) = manifest.split_once('\n').unwrap_or_default();
    if head != format!("{} files", files.lines().count()) {
        return Some(format!("{MANIFEST} is truncated"));
    }
    let missing = files.lines().find(|line| !found.contains(line))?;
    Some(format!("no file of this size and name: {missing}"))
}

/// Returns the number of files, and the size and name of each.
fn listing(dir: &Path) -> Result<String> {
    fn list(root: &Path, dir: &Path, lines: &mut Vec<String>) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            let name = path.strip_prefix(root)?.to_string_lossy();
            if path.is_dir() {
                list(root, &path, lines)?;
            } else if name != MANIFEST {
                lines.push(format!("{} {name}\n", path.metadata()?.len()));
            }
        }
        Ok(())
    }
    let mut lines = Vec::new();
    list(dir, dir, &mut lines)?;
    lines.sort();
    Ok(format!("{} files\n{}", lines.len(), lines.concat()))
}

/// Returns the directory of the cache: `FAKNOW_CACHE_DIR`, or `faknow` in the user's cache directory.
pub fn directory() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    directory_from(variable("FAKNOW_CACHE_DIR"), variable("XDG_CACHE_HOME"), std::env::home_dir())
}

fn directory_from(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> PathBuf {
    if let Some(own) = own {
        return std::path::absolute(&own).unwrap_or(own);
    }
    // The XDG specification ignores a relative path.
    if let Some(xdg) = xdg.filter(|it| it.is_absolute()) {
        return xdg.join("faknow");
    }
    match home.filter(|it| it.is_absolute()) {
        Some(home) if cfg!(target_os = "macos") => home.join("Library/Caches/faknow"),
        Some(home) => home.join(".cache/faknow"),
        None => std::env::temp_dir().join("faknow-cache"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_user_wants_it() {
        let check = |own: Option<&str>, xdg: Option<&str>, home: Option<&str>, expected: PathBuf| {
            let [own, xdg, home] = [own, xdg, home].map(|it| it.map(PathBuf::from));
            assert_eq!(directory_from(own, xdg, home), expected);
        };
        check(Some("/c"), Some("/x"), Some("/h"), "/c".into());
        check(None, Some("/x"), Some("/h"), "/x/faknow".into());
        if cfg!(target_os = "linux") {
            check(None, Some("relative"), Some("/h"), "/h/.cache/faknow".into());
        }
        check(None, None, Some("relative"), std::env::temp_dir().join("faknow-cache"));
    }

    #[test]
    fn a_corrupted_result_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("place");
        let publish = || {
            let work = tempfile::tempdir_in(&root).unwrap();
            let made = work.path().join("made");
            fs::create_dir_all(made.join("lib")).unwrap();
            fs::write(made.join("lib/a b.so"), "12345").unwrap();
            fs::write(made.join("build-version"), "2.13.0").unwrap();
            publish(work.path(), &made, &place).unwrap();
            assert_eq!(first_fault(&place), None);
        };
        let check = |expected: &str| assert!(first_fault(&place).unwrap().contains(expected));
        check("no faknow-manifest.txt");
        publish();
        fs::write(place.join("lib/a b.so"), "1234").unwrap();
        check("5 lib/a b.so");
        publish();
        fs::remove_file(place.join("build-version")).unwrap();
        check("6 build-version");
        publish();
        let manifest = fs::read_to_string(place.join(MANIFEST)).unwrap();
        fs::write(place.join(MANIFEST), manifest.lines().take(2).collect::<Vec<_>>().join("\n")).unwrap();
        check("is truncated");
    }
}
