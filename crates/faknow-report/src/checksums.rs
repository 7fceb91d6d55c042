//! Sizes and checksums of the files of a directory, in `checksums.json`: a file that was truncated, changed or lost would give
//! other results without any sign of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::{Error, Result};

/// File name of [`Checksums`] in a directory.
pub const CHECKSUMS: &str = "checksums.json";

/// Maximum number of attempts to read a file that another process is replacing.
const MAX_ATTEMPTS: usize = 10;

/// Sizes and checksums of files by name, relative to their directory.
///
/// A file that is not listed is not checked: earlier versions wrote no checksums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums {
    files: BTreeMap<String, FileChecksum>,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    files: BTreeMap<String, FileChecksum>,
    /// The checksum of `files` as compact JSON.
    xxh3_128: String,
}

/// Size and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileChecksum {
    bytes: u64,
    /// XXH3 with 128 bits, as 32 lowercase hexadecimal digits.
    xxh3_128: String,
}

impl FileChecksum {
    fn of(content: &[u8]) -> Self {
        let xxh3_128 = format!("{:032x}", XxHash3_128::oneshot(content));
        Self { bytes: content.len() as u64, xxh3_128 }
    }

    /// Computes the checksum of a file of any size.
    fn of_file(path: &Path) -> io::Result<Self> {
        let (mut file, mut hash) = (File::open(path)?, XxHash3_128::new());
        let (mut chunk, mut bytes) = (vec![0; 1 << 18], 0);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(Self { bytes, xxh3_128: format!("{:032x}", hash.finish_128()) }),
                Ok(n) => {
                    hash.write(&chunk[..n]);
                    bytes += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the difference between this checksum and that of a file.
    fn difference(&self, got: &Self) -> String {
        match self.bytes == got.bytes {
            true => format!("checksum: expected {}, got {}", self.xxh3_128, got.xxh3_128),
            false => format!("expected {} bytes, got {}", self.bytes, got.bytes),
        }
    }
}

impl Checksums {
    /// Reads the checksums of a directory; none if it has no such file.
    ///
    /// # Errors
    /// The file cannot be read, or is corrupted.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(CHECKSUMS);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io(&path, error)),
            Ok(content) => Self::parse(&content).map_err(|what| {
                let remedy = "copy the directory again, or delete this file to use the others unchecked";
                Error::corrupted(&path, format!("{what}; {remedy}"))
            }),
        }
    }

    fn parse(content: &[u8]) -> Result<Self, String> {
        let Sealed { files, xxh3_128 } =
            serde_json::from_slice(content).map_err(|error| error.to_string())?;
        let checksums = Self { files };
        let expected = checksums.seal().map_err(|error| error.to_string())?;
        match xxh3_128 == expected {
            true => Ok(checksums),
            false => Err(format!("its own checksum: expected {expected}, got {xxh3_128}")),
        }
    }

    /// Returns the checksum of the checksums.
    fn seal(&self) -> serde_json::Result<String> {
        Ok(FileChecksum::of(&serde_json::to_vec(&self.files)?).xxh3_128)
    }

    /// Returns the content of the file.
    ///
    /// # Errors
    /// Never, since names and numbers can be serialized.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let sealed = Sealed { files: self.files.clone(), xxh3_128: self.seal()? };
        Ok(serde_json::to_string_pretty(&sealed)? + "\n")
    }

    /// Computes the checksum of an existing file of the directory, or removes that of a missing one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn record(&mut self, dir: &Path, name: &str) -> Result<()> {
        let path = dir.join(name);
        match FileChecksum::of_file(&path) {
            Ok(checksum) => drop(self.files.insert(name.to_owned(), checksum)),
            Err(error) if error.kind() == ErrorKind::NotFound => drop(self.files.remove(name)),
            Err(error) => return Err(Error::io(&path, error)),
        }
        Ok(())
    }

    /// Removes the checksum of a file; returns whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.files.remove(name).is_some()
    }

    /// Returns the names of all files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

/// Reads a file of a directory and compares it with its checksum, if it has one; `None` if there is neither the file nor a
/// checksum of it.
///
/// # Errors
/// The file cannot be read, is corrupted, or is missing although it has a checksum.
pub fn read_verified(dir: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    with_retry(dir, name, |path| {
        let content = fs::read(path)?;
        Ok((FileChecksum::of(&content), content))
    })
}

/// Compares a file of a directory with its checksum, as [`read_verified`] does, without storing it in memory.
///
/// # Errors
/// As for [`read_verified`].
pub fn verify(dir: &Path, name: &str) -> Result<()> {
    with_retry(dir, name, |path| Ok((FileChecksum::of_file(path)?, ()))).map(drop)
}

/// Reads a file and compares it with its checksum, again if another process replaced them meanwhile.
fn with_retry<T>(
    dir: &Path,
    name: &str,
    read: impl Fn(&Path) -> io::Result<(FileChecksum, T)>,
) -> Result<Option<T>> {
    let path = dir.join(name);
    let mut checksums = Checksums::read(dir)?;
    let mut attempts = 0;
    loop {
        let error = match (read(&path), checksums.files.get(name)) {
            (Ok((got, _)), Some(expected)) if *expected != got => {
                Error::corrupted(&path, format!("{}; {}", expected.difference(&got), remedy(dir, name)))
            }
            (Ok((_, content)), _) => return Ok(Some(content)),
            (Err(error), None) if error.kind() == ErrorKind::NotFound => return Ok(None),
            (Err(error), Some(_)) if error.kind() == ErrorKind::NotFound => {
                Error::MissingFile { path: path.clone(), remedy: remedy(dir, name) }
            }
            (Err(error), _) => return Err(Error::io(&path, error)),
        };
        let now = Checksums::read(dir)?;
        attempts += 1;
        if now == checksums || attempts == MAX_ATTEMPTS {
            return Err(error);
        }
        checksums = now;
    }
}

/// Returns what helps against a corrupted file of a run directory.
pub(crate) fn remedy(dir: &Path, name: &str) -> String {
    let is_result = [crate::SUMMARY, crate::CALIBRATION, crate::MISTAKES, crate::HISTORY].contains(&name)
        || name.starts_with("predictions/");
    match is_result {
        true => format!(
            "copy the run directory again, or let `faknow resume {}` write the file again",
            dir.display()
        ),
        false => {
            format!("copy the run directory again; if you changed the file on purpose, delete `{CHECKSUMS}`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_truncated_and_changed_files_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let name = "predictions/test.csv";
        let path = dir.join(name);
        assert_eq!(read_verified(dir, name).unwrap(), None);
        fs::create_dir_all(dir.join("predictions")).unwrap();
        fs::write(&path, "content").unwrap();
        assert_eq!(read_verified(dir, name).unwrap().unwrap(), b"content", "without a checksum");
        let mut checksums = Checksums::default();
        checksums.record(dir, name).unwrap();
        checksums.record(dir, "missing").unwrap();
        assert_eq!(checksums.names().collect::<Vec<_>>(), [name]);
        fs::write(dir.join(CHECKSUMS), checksums.to_json().unwrap()).unwrap();
        assert_eq!(read_verified(dir, name).unwrap().unwrap(), b"content");
        let check = |expected: &str| {
            let error = read_verified(dir, name).unwrap_err().to_string();
            assert_eq!(verify(dir, name).unwrap_err().to_string(), error);
            assert!(error.starts_with(&path.display().to_string()), "{error}");
            assert!(error.contains(expected) && error.contains("`faknow resume "), "{error}");
        };
        fs::write(&path, "conten").unwrap();
        check("the file is corrupted: expected 7 bytes, got 6; copy the run directory again");
        fs::write(&path, "contenT").unwrap();
        check("the file is corrupted: checksum: expected ");
        fs::remove_file(&path).unwrap();
        check("the file is missing; copy the run directory again");
        let json = checksums.to_json().unwrap();
        for corrupted in [
            "{".to_owned(),
            json.replacen("test", "tesT", 1),
            json.replacen("\"bytes\": 7", "\"bytes\": 6", 1),
        ] {
            fs::write(dir.join(CHECKSUMS), corrupted).unwrap();
            let error = read_verified(dir, name).unwrap_err().to_string();
            assert!(error.contains("checksums.json: the file is corrupted"), "{error}");
        }
        assert!(checksums.remove(name) && !checksums.remove(name));
    }
}
