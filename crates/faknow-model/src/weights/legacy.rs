//! State dicts in the format of `torch.save` before PyTorch 1.6: pickles of a header, the tensors and the keys of their storages,
//! then the raw values of the storages.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use tch::Tensor;

use super::LEGACY_MAGIC;
use super::objects::{Objects, Storage, Value};
use super::pickle;
use super::state_dict::{MAX_PICKLE_SIZE, allowance, by_storage, size_in_bytes, tensor};

/// The only version of the format.
const VERSION: i64 = 1001;

/// Reads the tensors of a file that starts with [`LEGACY_MAGIC`], to the CPU, without shared memory.
pub(super) fn decode(mut reader: impl Read + Seek) -> Result<BTreeMap<String, Tensor>, String> {
    let io = |error: std::io::Error| error.to_string();
    let length = reader.seek(SeekFrom::End(0)).map_err(io)?;
    reader.rewind().map_err(io)?;
    let mut bytes = Vec::new();
    reader.by_ref().take(MAX_PICKLE_SIZE).read_to_end(&mut bytes).map_err(io)?;
    let mut pickles = Pickles { bytes: &bytes, position: LEGACY_MAGIC.len().min(bytes.len()) };
    check_version(pickles.next("version")?.0)?;
    check_system(pickles.next("system")?)?;
    let (root, objects) = pickles.next("tensors")?;
    let (keys, key_objects) = pickles.next("keys of the storages")?;
    let mut by_storage = by_storage(root, &objects, allowance(length))?;
    let mut storages = storages_by_key(&objects)?;
    let mut position = pickles.position as u64;
    reader.seek(SeekFrom::Start(position)).map_err(io)?;
    let mut tensors = BTreeMap::new();
    let keys = key_objects.items(keys).ok_or("keys of the storages: expected a list")?;
    for &key in keys {
        let key = key_objects.text(key).ok_or("keys of the storages: expected strings")?;
        let in_storage = |problem: String| format!("storage `{key}`: {problem}");
        let storage = storages.remove(key).ok_or_else(|| in_storage("expected one of the tensors".into()))?;
        let n_bytes = size_in_bytes(storage.n_values, storage.kind);
        let end = position.saturating_add(8).saturating_add(n_bytes);
        if end > length {
            return Err(in_storage(format!(
                "expected {n_bytes} bytes, got {}; the file is truncated",
                length.saturating_sub(position).saturating_sub(8)
            )));
        }
        let mut n_values = [0; 8];
        reader.read_exact(&mut n_values).map_err(io)?;
        let n_values = u64::from_le_bytes(n_values);
        if n_values != storage.n_values as u64 {
            return Err(in_storage(format!("expected {} values, got {n_values}", storage.n_values)));
        }
        match by_storage.remove(key) {
            Some((_, layouts)) => {
                let mut values = Vec::new();
                reader.by_ref().take(n_bytes).read_to_end(&mut values).map_err(io)?;
                if values.len() as u64 != n_bytes {
                    return Err(in_storage(format!("expected {n_bytes} bytes, got {}", values.len())));
                }
                for (name, layout) in layouts {
                    tensors.insert(name.to_owned(), tensor(&values, layout, name)?);
                }
            }
            // Not of the state dict, but of the optimizer.
            None => drop(reader.seek(SeekFrom::Start(end)).map_err(io)?),
        }
        position = end;
    }
    if let Some(key) = by_storage.keys().next() {
        return Err(format!("keys of the storages: expected `{key}`, which a tensor has"));
    }
    if position != length {
        return Err(format!(
            "expected the end of the file after the storages, got {} more bytes",
            length - position
        ));
    }
    Ok(tensors)
}

/// Several pickles, one after the other.
struct Pickles<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Pickles<'_> {
    /// Reads the next pickle; `what` is its content, for errors.
    fn next(&mut self, what: &str) -> Result<(Value, Objects), String> {
        let (root, objects, n_bytes) = pickle::read_first(&self.bytes[self.position..])
            .map_err(|reason| format!("{what}, from byte {} of the file: {reason}", self.position))?;
        self.position += n_bytes;
        Ok((root, objects))
    }
}

fn check_version(version: Value) -> Result<(), String> {
    match version {
        Value::Integer(VERSION) => Ok(()),
        other => Err(format!("version of the format: expected {VERSION}, got {other:?}")),
    }
}

/// Checks the properties of the machine that wrote the file.
fn check_system((root, objects): (Value, Objects)) -> Result<(), String> {
    let mut entries = objects.entries(root).ok_or("system: expected a dict")?;
    match entries.find(|(name, _)| *name == "little_endian") {
        Some((_, Value::Boolean(true))) => Ok(()),
        Some((_, Value::Boolean(false))) => {
            Err("unsupported byte order: expected a file of a little-endian \
            machine; in Python, save it again with a current PyTorch: torch.save(torch.load(FILE), NEW_FILE)"
                .to_owned())
        }
        _ => Err("system: expected an entry `little_endian`".to_owned()),
    }
}

/// Returns all storages, also those of other values than the state dict.
fn storages_by_key(objects: &Objects) -> Result<BTreeMap<&str, &Storage>, String> {
    let mut storages = BTreeMap::new();
    for storage in objects.storages() {
        if storages.insert(storage.key.as_str(), storage).is_some_and(|other| other != storage) {
            return Err(format!("storage `{}`: expected the same type and size everywhere", storage.key));
        }
    }
    Ok(storages)
}
