//! Reading and writing of small files.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use faknow_data::common::write_atomically;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Writes a text file atomically.
pub(crate) fn write_text_atomically(path: &Path, text: &str) -> Result<()> {
    write_atomically(path, |file| file.write_all(text.as_bytes())).map_err(|error| Error::io(path, error))
}

/// Writes a JSON file atomically.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::io(path, e.into()))?;
    write_text_atomically(path, &(text + "\n"))
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    serde_json::from_str(&text).map_err(|e| {
        Error::config(
            "",
            format!("{}: the file is corrupted: {e}; copy the run directory again", path.display()),
        )
    })
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
