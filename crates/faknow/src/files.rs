//! Reading and writing small files.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Writes a file, whole or not at all: to a temporary file first, which is then renamed.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let tmp_path = tmp_path(path);
    let mut file = File::create(&tmp_path).map_err(|e| Error::io(&tmp_path, e))?;
    // The name must not become that of a file whose content the disk does not have yet.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| Error::io(&tmp_path, e))?;
    fs::rename(&tmp_path, path).map_err(|e| Error::io(path, e))
}

/// Where [`write_whole`] writes first.
pub(crate) fn tmp_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
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
