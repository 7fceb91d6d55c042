//! The per-user cache: its folder, its lock, work folders that become results by a rename, and what is complete.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::progress::size;

/// The file inside a result that lists its files and their sizes; it is written last.
const MANIFEST: &str = "faknow-manifest.txt";

/// The cache, locked for this process until it is dropped.
pub struct Cache {
    /// The folder of the cache.
    pub root: PathBuf,
    _lock: Option<File>,
}

impl Cache {
    /// Opens the cache and waits until no other process works in it; clears what interrupted runs left.
    pub fn lock() -> Result<Self> {
        let root = folder();
        let hint = "set FAKNOW_CACHE_DIR to a folder that you can write to";
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot make the cache {}; {hint}", root.display()))?;
        let path = root.join(".lock");
        let file = File::create(&path).with_context(|| format!("cannot write {}; {hint}", path.display()))?;
        let lock = match file.try_lock() {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => {
                eprintln!("  another setup works in {}; waiting for it", root.display());
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
                Some(file)
            }
            // Some network file systems have no locks; work folders and renames still keep runs apart.
            Err(TryLockError::Error(_)) => None,
        };
        let cache = Self { root, _lock: lock };
        if cache._lock.is_some() {
            cache.clear_stale();
        }
        Ok(cache)
    }

    /// A new, empty work folder; it is removed when dropped.
    pub fn work_folder(&self) -> Result<WorkFolder> {
        let path = self.root.join(format!("work-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(WorkFolder { path })
    }

    /// Refuses to begin where the file system has less room than `needed` bytes.
    pub fn require_space(&self, needed: u64) -> Result<()> {
        match free_space(&self.root) {
            Some(free) if free < needed => bail!(
                "not enough disk space: {} has {} free, and this needs {} for a while; make room there, or set \
                 FAKNOW_CACHE_DIR to a folder on a larger disk",
                self.root.display(),
                size(free),
                size(needed)
            ),
            _ => Ok(()),
        }
    }

    fn clear_stale(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with("work-") {
                // An orphaned download may still write there; the next run tries again.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A folder for half-done work, beside the results so that a rename can publish it.
pub struct WorkFolder {
    /// Where it is.
    pub path: PathBuf,
}

impl WorkFolder {
    /// Makes `made`, a folder in here, the result at `place`, in one step; what stood there goes.
    pub fn publish(&self, made: &Path, place: &Path) -> Result<()> {
        write_manifest(made)?;
        if place.exists() {
            let old = self.path.join("replaced");
            fs::rename(place, &old).with_context(|| format!("cannot move {} away", place.display()))?;
        }
        fs::rename(made, place).with_context(|| format!("cannot put {} in place", place.display()))
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The folder of the cache: `FAKNOW_CACHE_DIR`, or `faknow` in the user's cache folder.
pub fn folder() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME").or_else(|| variable("USERPROFILE"));
    folder_from(variable("FAKNOW_CACHE_DIR"), variable("XDG_CACHE_HOME"), home)
}

fn folder_from(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> PathBuf {
    if let Some(own) = own.filter(|it| !it.as_os_str().is_empty()) {
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

/// Whether a folder holds every file that its manifest lists, each with its size.
pub fn is_complete(folder: &Path) -> bool {
    match first_fault(folder) {
        None => true,
        Some(fault) => {
            if folder.exists() {
                eprintln!("  {} is damaged ({fault}); making it anew", folder.display());
            }
            false
        }
    }
}

fn first_fault(folder: &Path) -> Option<String> {
    let Ok(manifest) = fs::read_to_string(folder.join(MANIFEST)) else {
        return Some(format!("no {MANIFEST}"));
    };
    let mut lines = manifest.lines();
    let announced = lines.next().and_then(|line| line.strip_suffix(" files")?.parse::<usize>().ok());
    if announced != Some(lines.clone().count()) {
        return Some(format!("{MANIFEST} is cut off"));
    }
    lines.find_map(|line| {
        let Some((bytes, path)) = line.split_once(' ') else {
            return Some(format!("`{line}` in {MANIFEST}"));
        };
        match fs::metadata(folder.join(path)) {
            Ok(it) if bytes.parse() == Ok(it.len()) => None,
            Ok(it) => Some(format!("{path} has {} bytes and not {bytes}", it.len())),
            Err(_) => Some(format!("{path} is missing")),
        }
    })
}

fn write_manifest(folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    list_files(folder, folder, &mut files)?;
    files.sort();
    let mut text = format!("{} files\n", files.len());
    for (path, bytes) in files {
        text.push_str(&format!("{bytes} {path}\n"));
    }
    let path = folder.join(MANIFEST);
    let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    Ok(())
}

fn list_files(root: &Path, folder: &Path, files: &mut Vec<(String, u64)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list_files(root, &entry.path(), files)?;
        } else if let Some(name) = entry.path().strip_prefix(root)?.to_str() {
            files.push((name.to_string(), entry.path().metadata()?.len()));
        }
    }
    Ok(())
}

/// How many bytes all files in a folder have; files that vanish meanwhile count nothing.
pub fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size_of = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => folder_size(&entry.path()),
        _ => entry.metadata().map_or(0, |it| it.len()),
    };
    entries.flatten().map(size_of).sum()
}

/// The free bytes of the file system of a folder, as `df` tells them; nothing where there is no `df`.
fn free_space(folder: &Path) -> Option<u64> {
    let answer = process::output(Command::new("df").arg("-Pk").arg(folder).env("LC_ALL", "C")).ok()?;
    df_available(&answer)
}

fn df_available(answer: &str) -> Option<u64> {
    let line = answer.lines().nth(1)?;
    // The name of the file system may hold blanks, so count from the column with the percent sign.
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent = words.iter().position(|word| word.ends_with('%'))?;
    let kilobytes: u64 = words.get(percent.checked_sub(1)?)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// A new empty folder for one unit test.
#[cfg(test)]
pub fn test_folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("faknow-xtask-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn df_answers() {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on\n";
        let check = |line: &str, expected| assert_eq!(df_available(&format!("{head}{line}")), expected);
        check("/dev/vda 263899620 13000000 81000000 14% /", Some(81_000_000 * 1024));
        check("my disk 10 4 6 40% /mnt/a b", Some(6 * 1024));
        check("tmpfs - - - - /x", None);
        check("", None);
    }

    #[test]
    fn the_cache_is_where_the_user_wants_it() {
        let check = |own: Option<&str>, xdg: Option<&str>, home: Option<&str>, expected: &str| {
            let [own, xdg, home] = [own, xdg, home].map(|it| it.map(PathBuf::from));
            assert_eq!(folder_from(own, xdg, home), PathBuf::from(expected));
        };
        check(Some("/c"), Some("/x"), Some("/h"), "/c");
        check(None, Some("/x"), Some("/h"), "/x/faknow");
        if cfg!(target_os = "linux") {
            check(Some(""), Some("relative"), Some("/h"), "/h/.cache/faknow");
        }
        check(None, None, Some("relative"), std::env::temp_dir().join("faknow-cache").to_str().unwrap());
        check(None, None, None, std::env::temp_dir().join("faknow-cache").to_str().unwrap());
    }

    #[test]
    fn a_damaged_result_is_noticed() {
        let root = test_folder("manifest");
        let (made, place) = (root.join("made"), root.join("place"));
        let work = WorkFolder { path: root.join("work") };
        fs::create_dir_all(&work.path).unwrap();
        let publish = || {
            fs::create_dir_all(made.join("lib")).unwrap();
            fs::write(made.join("lib/a b.so"), "12345").unwrap();
            fs::write(made.join("build-version"), "2.13.0").unwrap();
            work.publish(&made, &place).unwrap();
            assert_eq!(first_fault(&place), None);
        };
        assert_eq!(first_fault(&place).as_deref(), Some("no faknow-manifest.txt"));
        publish();
        fs::write(place.join("lib/a b.so"), "1234").unwrap();
        assert_eq!(first_fault(&place).as_deref(), Some("lib/a b.so has 4 bytes and not 5"));
        publish();
        fs::remove_dir_all(work.path.join("replaced")).unwrap();
        fs::remove_file(place.join("build-version")).unwrap();
        assert_eq!(first_fault(&place).as_deref(), Some("build-version is missing"));
        publish();
        let manifest = fs::read_to_string(place.join(MANIFEST)).unwrap();
        fs::write(place.join(MANIFEST), manifest.lines().take(2).collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!(first_fault(&place).as_deref(), Some("faknow-manifest.txt is cut off"));
        assert_eq!(folder_size(&place), 5 + 6 + fs::metadata(place.join(MANIFEST)).unwrap().len());
        fs::remove_dir_all(root).unwrap();
    }
}
