//! Atomic file writes: the only way in which the workspace writes files that are read later.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempPath};

/// First characters of the names of temporary files, which are followed by random ones.
const PREFIX: &str = ".faknow-";
/// Last characters of the names of temporary files.
const SUFFIX: &str = ".tmp";

/// A file that appears under its name only when it is complete.
///
/// Until [`finish`](Self::finish), the content is in a temporary file with a unique name in the same directory, which is removed
/// on drop. So after a crash at any point, the path has either the old or the new content, and two processes that write the
/// same file do not mix their contents. A symbolic link is followed. What is not a regular file (a pipe, a device) is written
/// directly.
#[derive(Debug)]
pub struct AtomicFile {
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// The temporary file, its path, and the path that it gets.
    Replaced(BufWriter<File>, TempPath, PathBuf),
    Direct(BufWriter<File>),
}

impl AtomicFile {
    /// Creates the temporary file for `path`.
    ///
    /// # Errors
    /// The directory does not exist or is not writable, or `path` is a directory.
    pub fn create(path: &Path) -> io::Result<Self> {
        let replaced = |file: NamedTempFile, path| {
            // Errors of a `NamedTempFile` contain its path.
            let (file, temporary) = file.into_parts();
            Target::Replaced(BufWriter::new(file), temporary, path)
        };
        let target = match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(meta) if !meta.is_file() => {
                Target::Direct(BufWriter::new(File::options().write(true).open(path)?))
            }
            Ok(meta) => {
                let path = fs::canonicalize(path)?;
                let file = create_temporary(&path)?;
                // The new file has the permissions of the one that it replaces.
                fs::set_permissions(file.path(), meta.permissions())?;
                replaced(file, path)
            }
            Err(_) => replaced(create_temporary(path)?, path.to_path_buf()),
        };
        Ok(Self { target })
    }

    /// Syncs the content to the disk, and renames the file to its path.
    ///
    /// # Errors
    /// The disk is full or cannot be written; the path then still has its old content.
    pub fn finish(self) -> io::Result<()> {
        self.finish_at(None)
    }

    /// Finishes like [`finish`](Self::finish), with another path in the same directory: for a name that depends on the content.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_as(self, path: &Path) -> io::Result<()> {
        self.finish_at(Some(path))
    }

    fn finish_at(self, name: Option<&Path>) -> io::Result<()> {
        match self.target {
            Target::Direct(mut file) => file.flush(),
            Target::Replaced(file, temporary, path) => {
                let path = name.map_or(path, Path::to_path_buf);
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                // Without a sync, the rename could reach the disk before the content.
                file.sync_all()?;
                temporary.persist(&path).map_err(|error| error.error)?;
                sync_dir(parent(&path))
            }
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::Replaced(file, ..) | Target::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::Replaced(file, ..) | Target::Direct(file) => file.flush(),
        }
    }
}

/// Writes a file atomically, as [`AtomicFile`] does.
///
/// ```
/// use std::io::Write;
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("notes.txt");
/// faknow_data::common::write_atomically(&path, |file| file.write_all(b"moon"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "moon");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The error of `write` or of the file system; `path` then still has the old content.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut AtomicFile) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    write(&mut file)?;
    file.finish()
}

/// Writes a file atomically with a function that takes a path, such as those of C++ libraries.
///
/// # Errors
/// The error of `write` or of the file system; `path` then still has the old content.
pub fn write_path_atomically<E: From<io::Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let file = create_temporary(path)?;
    write(file.path())?;
    // The function may have replaced the file.
    File::open(file.path())?.sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(sync_dir(parent(path))?)
}

/// Returns whether a file name is that of a temporary file, which a killed process has left.
pub fn is_temporary(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Removes the temporary files that killed processes have left in a directory, and in its subdirectories. No other process may
/// write there at the same time. What cannot be removed is left, since no command reads it.
pub fn remove_temporary_files(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_temporary_files(&entry.path()),
            Ok(kind) if kind.is_file() && is_temporary(&entry.file_name()) => {
                let _ = fs::remove_file(entry.path());
            }
            _ => {}
        }
    }
}

/// Flushes the entries of a directory to the disk.
///
/// # Errors
/// The directory cannot be opened or synced.
#[cfg(unix)]
pub fn sync_dir(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        // Some network file systems cannot sync directories, and do so themselves.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Does nothing: other systems cannot open a directory, and sync its entries themselves.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

fn create_temporary(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    // As other new files, not private as temporary ones.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Without the path of the temporary file, which means nothing to users.
    builder.tempfile_in(parent(path)).map_err(|error| match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    })
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn failed_write_leaves_old_content_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::Error::other("no more room"))
        });
        assert_eq!(error.unwrap_err().to_string(), "no more room");
        let error =
            write_path_atomically(&path, |path| fs::write(path, "half").and(Err(io::Error::other("no"))));
        assert_eq!(error.unwrap_err().to_string(), "no");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["file.json"]);
        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        write_path_atomically(&path, |path| fs::write(path, "newer")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert!(write_atomically(&dir.path().join("missing/file"), |_| Ok(())).is_err());
        assert!(write_atomically(dir.path(), |_| Ok(())).is_err());
    }

    #[test]
    fn two_writers_do_not_mix_and_leftovers_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let (mut one, mut other) = (AtomicFile::create(&path).unwrap(), AtomicFile::create(&path).unwrap());
        one.write_all(b"one").unwrap();
        other.write_all(b"other").unwrap();
        one.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        other.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other");
        // As after a kill.
        std::mem::forget(AtomicFile::create(&path).unwrap());
        assert_eq!(names(dir.path()).len(), 2);
        remove_temporary_files(dir.path());
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_devices_and_permissions_are_respected() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_atomically(&link, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        write_atomically(Path::new("/dev/null"), |file| file.write_all(b"new")).unwrap();
        if Path::new("/dev/full").exists() {
            let error = write_atomically(Path::new("/dev/full"), |file| file.write_all(b"new"));
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
    }
}
