//! Atomic file writes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file atomically: to a temporary file in the same directory, which is synced to disk and then renamed.
///
/// After a crash at any point, `path` has either the old or the new content. Two processes must not write the same
/// file at the same time.
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
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_path(path);
    let write_and_rename = || {
        let mut file = BufWriter::new(File::create(&temporary)?);
        write(&mut file)?;
        file.flush()?;
        // Without a sync, the rename could reach the disk before the content.
        file.get_ref().sync_all()?;
        fs::rename(&temporary, path)
    };
    write_and_rename().inspect_err(|_| {
        // The first error is returned.
        let _ = fs::remove_file(&temporary);
    })
}

/// Returns the path of the temporary file of [`write_atomically`]: the same name with the suffix `.tmp`.
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(write_atomically(&dir.path().join("missing/file"), |_| Ok(())).is_err());
    }
}
