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

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error::io(path, e))
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::io(path, e.into()))?;
    write(path, &(text + "\n"))
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
