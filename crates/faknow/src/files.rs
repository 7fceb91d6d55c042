//! Reading and writing of small files.

use std::io::Write as _;
use std::path::Path;
use std::{fs, io};

use faknow_data::common::write_atomically;
use faknow_report::{CHECKSUMS, Checksums, read_verified, verify};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Writes a text file atomically.
pub(crate) fn write_text_atomically(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, |file| file.write_all(text.as_bytes())).map_err(|error| Error::io(path, error))
}

/// Removes a file if it exists.
pub(crate) fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a JSON file atomically.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::io(path, e.into()))?;
    write_text_atomically(path, &(text + "\n"))
}

/// Reads a JSON file of a directory and compares it with its checksum; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>> {
    let Some(text) = read_verified(dir, name).map_err(report_error)? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|e| {
        let path = dir.join(name);
        Error::config(
            "",
            format!("{}: the file is corrupted: {e}; copy the run directory again", path.display()),
        )
    })
}

/// Compares the files of a directory with their checksums, as far as it has any.
///
/// # Errors
/// A file was changed or truncated, or is missing although it has a checksum.
pub(crate) fn verify_files(dir: &Path, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| verify(dir, name)).map_err(report_error)
}

/// Writes the files `names` of a directory with `write`, and records their checksums.
///
/// Meanwhile the directory has no checksums of these files, so that a process that is killed leaves old or new ones that are not
/// checked, rather than ones that appear to be corrupted. Only one process may write at a time.
pub(crate) fn record_checksums<T>(
    dir: &Path,
    names: &[&str],
    write: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut checksums = forget_checksums(dir, names)?;
    let result = write()?;
    for name in names {
        checksums.record(dir, name).map_err(report_error)?;
    }
    save_checksums(dir, &checksums)?;
    Ok(result)
}

/// Removes the checksums of files that are about to change; returns the others.
pub(crate) fn forget_checksums(dir: &Path, names: &[&str]) -> Result<Checksums> {
    let mut checksums = Checksums::read(dir).map_err(report_error)?;
    let n_removed = names.iter().filter(|name| checksums.remove(name)).count();
    if n_removed > 0 {
        save_checksums(dir, &checksums)?;
    }
    Ok(checksums)
}

fn save_checksums(dir: &Path, checksums: &Checksums) -> Result<()> {
    let path = dir.join(CHECKSUMS);
    let text = checksums.to_json().map_err(|e| Error::io(&path, e.into()))?;
    write_text_atomically(&path, &text)
}

/// Checks that `run` is a directory with the config of a run.
///
/// # Errors
/// See [`faknow_report::check_run_dir`]; the message names the likely reason.
pub(crate) fn check_run_dir(run: &Path) -> Result<()> {
    faknow_report::check_run_dir(run).map_err(|error| match error {
        faknow_report::Error::NotARun { path, message } => {
            let hint = if run.join("checkpoints").is_dir() {
                "; a run of `Trainer` has none: save a detector with `Detector::save`"
            } else if run.join(".lock").exists() {
                "; the run was never started, start a new one"
            } else {
                ""
            };
            Error::NotARun { path, message: message + hint }
        }
        other => report_error(other),
    })
}

/// Converts an error of `faknow-report`.
pub(crate) fn report_error(error: faknow_report::Error) -> Error {
    match error {
        faknow_report::Error::Io { path, source } => Error::io(path, source),
        faknow_report::Error::Metric(error) => Error::Metric(error),
        other => Error::config("", other.to_string()),
    }
}
