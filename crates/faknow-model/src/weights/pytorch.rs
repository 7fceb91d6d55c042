//! State dicts in the format of `torch.save`: a zip archive of a pickle and the raw values of the tensors.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use tch::{Kind, Tensor};
use zip::ZipArchive;

use super::objects::{Layout, Objects, Storage, Value};
use super::pickle;
use super::safetensors::from_raw;

/// Common keys of the state dict in a checkpoint.
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Maximum size of the pickle in bytes; a tensor takes about a hundred.
const MAX_PICKLE_SIZE: u64 = 1 << 24;

/// Maximum ratio of the size of the tensors to that of the file, as compression and views allow, and the size that is always
/// allowed.
const MAX_EXPANSION: u64 = 64;
const MIN_ALLOWANCE: u64 = 1 << 24;

/// Tensors by name.
type Layouts<'a> = BTreeMap<&'a str, &'a Layout>;

/// Reads the tensors of an archive, to the CPU, without shared memory.
pub(super) fn decode(reader: impl Read + Seek) -> Result<BTreeMap<String, Tensor>, String> {
    let mut archive = Archive::open(reader)?;
    let (root, objects) = pickle::read(&archive.read("data.pkl", None)?)?;
    let mut by_storage: BTreeMap<&str, (&Storage, Layouts<'_>)> = BTreeMap::new();
    let mut n_bytes = 0_u64;
    for (name, layout) in state_dict(root, &objects)? {
        let storage = &layout.storage;
        n_bytes = n_bytes.saturating_add(size_in_bytes(layout.n_values, storage.kind));
        if n_bytes > archive.allowance {
            return Err(format!(
                "tensors: expected at most {} bytes for the size of the file, got {n_bytes} up to `{name}`",
                archive.allowance
            ));
        }
        let (first, layouts) = by_storage.entry(&storage.key).or_insert((storage, Layouts::new()));
        if *first != storage {
            return Err(format!(
                "tensor `{name}`: expected the type and size of its storage in other tensors"
            ));
        }
        layouts.insert(name, layout);
    }
    let mut tensors = BTreeMap::new();
    for (key, (storage, layouts)) in by_storage {
        let values = archive.values(key, storage)?;
        for (name, layout) in layouts {
            tensors.insert(name.to_owned(), tensor(&values, layout, name)?);
        }
    }
    Ok(tensors)
}

/// Returns the tensors of the state dict, which is the root or under one of [`STATE_DICT_KEYS`].
fn state_dict(root: Value, objects: &Objects) -> Result<Layouts<'_>, String> {
    let tensors = |value: Value| -> Layouts<'_> {
        let entries = objects.entries(value).into_iter().flatten();
        entries.filter_map(|(name, value)| Some((name, objects.tensor(value)?))).collect()
    };
    let Some(entries) = objects.entries(root) else {
        return Err("expected a state dict, a dict of tensors by name".to_owned());
    };
    let entries: BTreeMap<&str, Value> = entries.collect();
    let mut candidates: Vec<(&str, Layouts<'_>)> = STATE_DICT_KEYS
        .iter()
        .filter_map(|key| Some((*key, tensors(*entries.get(key)?))))
        .filter(|(_, tensors)| !tensors.is_empty())
        .collect();
    match (candidates.pop(), &candidates[..]) {
        (Some((_, only)), []) => Ok(only),
        (Some((last, _)), [(first, _), ..]) => Err(format!(
            "weights under both `{first}` and `{last}`; in Python, save only one state dict: \
             torch.save(checkpoint[\"{first}\"], FILE)"
        )),
        (None, _) => {
            let tensors = tensors(root);
            if tensors.is_empty() && !entries.is_empty() {
                let keys: Vec<String> = entries.keys().take(8).map(|key| format!("`{key}`")).collect();
                return Err(format!(
                    "expected tensors at the top level or under one of `{}`, got the keys {}",
                    STATE_DICT_KEYS.join("`, `"),
                    keys.join(", ")
                ));
            }
            Ok(tensors)
        }
    }
}

/// Creates a tensor from the values of its storage.
fn tensor(values: &[u8], layout: &Layout, name: &str) -> Result<Tensor, String> {
    let Layout { storage, offset, size, stride, n_values } = layout;
    let width = storage.kind.elt_size_in_bytes();
    if *n_values == 0 || is_contiguous(size, stride) {
        let start = if *n_values == 0 { 0 } else { offset * width };
        return from_raw(&values[start..start + n_values * width], size, storage.kind, name);
    }
    let storage_values = from_raw(values, &[storage.n_values as i64], storage.kind, name)?;
    storage_values
        .f_as_strided(size, stride, *offset as i64)
        .and_then(|view| view.f_contiguous())
        .map_err(|error| format!("tensor `{name}`: {error}"))
}

/// Returns whether the values are contiguous in row-major order.
fn is_contiguous(size: &[i64], stride: &[i64]) -> bool {
    let mut expected = 1;
    size.iter().zip(stride).rev().all(|(&len, &stride)| {
        let is_expected = len == 1 || stride == expected;
        expected *= len;
        is_expected
    })
}

fn size_in_bytes(n_values: usize, kind: Kind) -> u64 {
    (n_values as u64).saturating_mul(kind.elt_size_in_bytes() as u64)
}

/// An archive of `torch.save`: named entries in one directory.
struct Archive<R> {
    zip: ZipArchive<R>,
    /// The directory of all entries, with a trailing slash.
    dir: String,
    is_big_endian: bool,
    /// Number of bytes that may still be decompressed.
    allowance: u64,
}

impl<R: Read + Seek> Archive<R> {
    fn open(mut reader: R) -> Result<Self, String> {
        let length = reader.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
        let mut zip = ZipArchive::new(reader).map_err(invalid_zip)?;
        zip.validate_header_consistency().map_err(invalid_zip)?;
        let dirs: Vec<String> =
            zip.file_names().flatten().filter_map(|name| dir(&name, "data.pkl")).collect();
        let [dir] = &dirs[..] else {
            return Err(format!("zip archive: expected one entry `data.pkl`, got {}", dirs.len()));
        };
        let allowance = length.saturating_mul(MAX_EXPANSION).max(MIN_ALLOWANCE);
        let mut archive = Self { dir: dir.clone(), zip, is_big_endian: false, allowance };
        if archive.has("constants.pkl") {
            return Err("unsupported TorchScript program; in Python, save its weights: \
                        torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)"
                .to_owned());
        }
        if archive.has("byteorder") {
            archive.is_big_endian = match &archive.read("byteorder", None)?[..] {
                b"little" => false,
                b"big" => true,
                _ => return Err("entry `byteorder`: expected `little` or `big`".to_owned()),
            };
        }
        Ok(archive)
    }

    fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{}{name}", self.dir)).is_some()
    }

    /// Reads an entry, whose size must be `expected_size` if it is known.
    fn read(&mut self, name: &str, expected_size: Option<u64>) -> Result<Vec<u8>, String> {
        let full_name = format!("{}{name}", self.dir);
        let in_entry = |reason: String| format!("entry `{full_name}`: {reason}");
        let entry = self.zip.by_name(&full_name).map_err(|error| in_entry(error.to_string()))?;
        let n_bytes = entry.size();
        let limit = expected_size.unwrap_or(MAX_PICKLE_SIZE);
        if n_bytes > limit || expected_size.is_some_and(|expected| n_bytes != expected) {
            let relation = if expected_size.is_some() { "" } else { "at most " };
            return Err(in_entry(format!("expected {relation}{limit} bytes, got {n_bytes}")));
        }
        self.allowance = self.allowance.checked_sub(n_bytes).ok_or_else(|| {
            in_entry(format!("expected a file that decompresses to at most {MAX_EXPANSION} times its size"))
        })?;
        let mut bytes = Vec::new();
        // Reads one byte more, so the end is reached and the checksum verified.
        entry.take(n_bytes + 1).read_to_end(&mut bytes).map_err(|error| in_entry(error.to_string()))?;
        if bytes.len() as u64 != n_bytes {
            return Err(in_entry(format!("expected {n_bytes} bytes, got {} or more", bytes.len())));
        }
        Ok(bytes)
    }

    /// Reads the values of a storage as little-endian bytes.
    fn values(&mut self, key: &str, storage: &Storage) -> Result<Vec<u8>, String> {
        let expected = size_in_bytes(storage.n_values, storage.kind);
        let mut values = self.read(&format!("data/{key}"), Some(expected))?;
        if self.is_big_endian {
            values.chunks_exact_mut(storage.kind.elt_size_in_bytes()).for_each(<[u8]>::reverse);
        }
        Ok(values)
    }
}

/// Returns the directory of `entry`, with its slash, if the file name is `name`.
fn dir(entry: &str, name: &str) -> Option<String> {
    let dir = entry.strip_suffix(name)?;
    (dir.is_empty() || dir.ends_with('/')).then(|| dir.to_owned())
}

fn invalid_zip(error: zip::result::ZipError) -> String {
    format!("invalid zip archive: {error}")
}
