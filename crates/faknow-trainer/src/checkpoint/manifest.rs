//! The manifest: the files of a checkpoint with their sizes and checksums.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::CheckpointInfo;
use super::disk::{FileInfo, Sink, checksum};
use super::error::{CheckpointError, Result};

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const STATE: &str = "state.json";
const FORMAT: &str = "faknow-checkpoint";
/// The supported format version.
const VERSION: u64 = 3;
const PROGRAM: &str = concat!("faknow ", env!("CARGO_PKG_VERSION"));
/// Maximum size of a manifest, which has only a few lines.
const MAX_BYTES: u64 = 1 << 20;

/// The text before and after the checksum of the manifest itself, in this and every later format. The checksum covers
/// all bytes before it, and the rest is compared: so every changed bit is detected.
const SEAL: (&str, &str) = (",\n  \"checksum\": \"", "\"\n}\n");

/// The files of a checkpoint, and what identifies it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: String,
    version: u64,
    program: String,
    pub(super) info: CheckpointInfo,
    pub(super) files: BTreeMap<String, FileInfo>,
}

impl Manifest {
    pub(super) fn new(info: CheckpointInfo, files: BTreeMap<String, FileInfo>) -> Self {
        Self { format: FORMAT.into(), version: VERSION, program: PROGRAM.into(), info, files }
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| CheckpointError::unsavable(dir, format!("info: not valid JSON: {error}")))?;
        let mut sink = Sink::create(dir.join(MANIFEST))?;
        sink.write(seal(json.strip_suffix("\n}").unwrap_or(&json)).as_bytes())?;
        sink.finish().map(drop)
    }

    /// Reads and verifies the manifest of a directory.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let value = read_sealed(dir)?;
        let corrupted = |what: String| CheckpointError::corrupted(dir, MANIFEST, what);
        match value.get("version").and_then(Value::as_u64) {
            Some(version) if version > VERSION => {
                let program = value.get("program").and_then(Value::as_str).unwrap_or("a later program");
                return Err(CheckpointError::Newer {
                    dir: dir.to_path_buf(),
                    version,
                    known: VERSION,
                    program: program.to_owned(),
                    fallback: None,
                });
            }
            Some(VERSION) => {}
            Some(version @ 1..VERSION) => {
                let program = value.get("program").and_then(Value::as_str).unwrap_or("an earlier program");
                return Err(CheckpointError::Older {
                    dir: dir.to_path_buf(),
                    version,
                    known: VERSION,
                    program: program.to_owned(),
                    fallback: None,
                });
            }
            _ => {
                let got = value.get("version").unwrap_or(&Value::Null);
                return Err(corrupted(format!("version: expected a number from 1, got {got}")));
            }
        }
        let manifest: Self = serde_json::from_value(value).map_err(|error| corrupted(error.to_string()))?;
        if !manifest.files.contains_key(STATE) {
            return Err(corrupted(format!("files: {STATE} is missing")));
        }
        if let Some(name) = manifest.files.keys().find(|name| *name != STATE && group_of(name).is_none()) {
            return Err(corrupted(format!("files: expected {STATE} and <group>.safetensors, got {name:?}")));
        }
        Ok(manifest)
    }

    /// Returns the groups of tensors, each with its file.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, &str, &FileInfo)> {
        self.files.iter().filter_map(|(file, info)| Some((group_of(file)?, file.as_str(), info)))
    }
}

/// Returns size and checksum of a file by the manifest of a directory, of any format version; `None` if the manifest, which
/// is intact, does not list them.
pub(super) fn file_info(dir: &Path, file: &str) -> Result<Option<FileInfo>> {
    let manifest = read_sealed(dir)?;
    let info = manifest.get("files").and_then(|files| files.get(file));
    Ok(info.and_then(|info| serde_json::from_value(info.clone()).ok()))
}

/// Reads the manifest of a directory and verifies its own checksum, which every format version has.
fn read_sealed(dir: &Path) -> Result<Value> {
    let path = dir.join(MANIFEST);
    let bytes = match fs::metadata(&path) {
        Ok(meta) if !meta.is_file() => {
            return Err(CheckpointError::foreign(dir, "its manifest.json is not a regular file"));
        }
        Ok(meta) if meta.len() > MAX_BYTES => {
            let what = format!("expected at most {MAX_BYTES} bytes, got {}", meta.len());
            return Err(CheckpointError::corrupted(dir, MANIFEST, what));
        }
        Ok(_) => fs::read(&path),
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) => parse_sealed(&bytes, dir),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(without_manifest(dir))
        }
        Err(error) => Err(CheckpointError::io(&path)(error)),
    }
}

fn parse_sealed(bytes: &[u8], dir: &Path) -> Result<Value> {
    let corrupted = |what: String| CheckpointError::corrupted(dir, MANIFEST, what);
    let text = std::str::from_utf8(bytes).map_err(|_| corrupted("not valid UTF-8".into()))?;
    let value: Value =
        serde_json::from_str(text).map_err(|error| corrupted(format!("not valid JSON: {error}")))?;
    let is_faknow = value.get("format").and_then(Value::as_str) == Some(FORMAT);
    match text.strip_suffix(SEAL.1).and_then(|text| text.rsplit_once(SEAL.0)) {
        Some((body, sum)) if checksum(body.as_bytes()) == sum => {}
        None if !is_faknow => {
            return Err(CheckpointError::foreign(dir, "its manifest.json was written by another program"));
        }
        _ => return Err(corrupted("checksum mismatch".into())),
    }
    if !is_faknow {
        return Err(CheckpointError::foreign(dir, "its manifest.json has another format"));
    }
    Ok(value)
}

/// Returns the text of a manifest with its checksum, from its JSON without the closing brace.
fn seal(body: &str) -> String {
    format!("{body}{}{}{}", SEAL.0, checksum(body.as_bytes()), SEAL.1)
}

fn without_manifest(dir: &Path) -> CheckpointError {
    if fs::symlink_metadata(dir).is_err() {
        return CheckpointError::Missing { dir: dir.to_path_buf(), fallback: None };
    }
    if !dir.is_dir() {
        return CheckpointError::foreign(dir, "it is not a directory");
    }
    let is_empty = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    if is_empty || dir.join(STATE).exists() {
        return CheckpointError::Incomplete {
            dir: dir.to_path_buf(),
            file: MANIFEST.to_owned(),
            fallback: None,
        };
    }
    CheckpointError::foreign(dir, "it has neither manifest.json nor state.json")
}

/// Returns the file name of a group of tensors.
pub(super) fn file_of(group: &str) -> String {
    format!("{group}.safetensors")
}

fn group_of(file: &str) -> Option<&str> {
    file.strip_suffix(".safetensors").filter(|group| is_group(group))
}

/// Returns whether the name of a group is valid: it must be a file name on any system.
pub(super) fn is_group(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
}
