//! State dicts in PyTorch's own format: what `torch.save` writes, a zip archive of a pickle and of plain values.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use tch::{Kind, Tensor};
use zip::ZipArchive;

use super::objects::{Layout, Objects, Storage, Value};
use super::pickle;
use super::safetensors::from_raw;

/// The keys under which a checkpoint has its state dict.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The largest pickle that is read, in bytes; a tensor takes about a hundred.
const MAX_PICKLE: u64 = 1 << 24;

/// How many times as large as its file the tensors of a file may be, since packing and views save room, and how many
/// bytes they may have in any case.
const MAX_GROWTH: u64 = 64;
const MIN_ALLOWANCE: u64 = 1 << 24;

/// Tensors by name.
type Layouts<'a> = BTreeMap<&'a str, &'a Layout>;

/// The tensors of an archive, on the CPU, each with memory of its own.
pub(super) fn decode(reader: impl Read + Seek) -> Result<BTreeMap<String, Tensor>, String> {
    let mut archive = Archive::open(reader)?;
    let (root, objects) = pickle::read(&archive.read("data.pkl", None)?)?;
    let mut by_storage: BTreeMap<&str, (&Storage, Layouts<'_>)> = BTreeMap::new();
    let mut n_bytes = 0_u64;
    for (name, layout) in state_dict(root, &objects)? {
        let storage = &layout.storage;
        n_bytes = n_bytes.saturating_add(bytes(layout.n_values, storage.kind));
        if n_bytes > archive.allowance {
            return Err(format!("its tensors have far more bytes than the file, {n_bytes} by `{name}`"));
        }
        let (first, layouts) = by_storage.entry(&storage.key).or_insert((storage, Layouts::new()));
        if *first != storage {
            return Err(format!("tensor `{name}`: is of another type than one that shares its values"));
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

/// The tensors of the state dict, which is the whole or lies under one of the usual keys.
fn state_dict(root: Value, objects: &Objects) -> Result<Layouts<'_>, String> {
    let tensors = |value: Value| -> Layouts<'_> {
        let entries = objects.entries(value).into_iter().flatten();
        entries.filter_map(|(name, value)| Some((name, objects.tensor(value)?))).collect()
    };
    let Some(entries) = objects.entries(root) else {
        return Err("it holds no state dict, which is a dict of tensors by name".to_owned());
    };
    let entries: BTreeMap<&str, Value> = entries.collect();
    let mut wrapped: Vec<(&str, Layouts<'_>)> = WRAPPERS
        .iter()
        .filter_map(|key| Some((*key, tensors(*entries.get(key)?))))
        .filter(|(_, tensors)| !tensors.is_empty())
        .collect();
    match (wrapped.pop(), &wrapped[..]) {
        (Some((_, only)), []) => Ok(only),
        (Some((last, _)), [(first, _), ..]) => Err(format!(
            "it holds weights under both `{first}` and `{last}`; in Python, save the right ones alone: \
             torch.save(checkpoint[\"{first}\"], FILE)"
        )),
        (None, _) => {
            let tensors = tensors(root);
            if tensors.is_empty() && !entries.is_empty() {
                let keys: Vec<String> = entries.keys().take(8).map(|key| format!("`{key}`")).collect();
                return Err(format!(
                    "it holds no tensors by name, neither at its top ({}) nor under one of `{}`",
                    keys.join(", "),
                    WRAPPERS.join("`, `")
                ));
            }
            Ok(tensors)
        }
    }
}

/// A tensor of the values that its layout picks from its storage's.
fn tensor(values: &[u8], layout: &Layout, name: &str) -> Result<Tensor, String> {
    let Layout { storage, offset, size, stride, n_values } = layout;
    let width = storage.kind.elt_size_in_bytes();
    if *n_values == 0 || is_contiguous(size, stride) {
        let start = if *n_values == 0 { 0 } else { offset * width };
        return from_raw(&values[start..start + n_values * width], size, storage.kind, name);
    }
    let whole = from_raw(values, &[storage.n_values as i64], storage.kind, name)?;
    whole
        .f_as_strided(size, stride, *offset as i64)
        .and_then(|view| view.f_contiguous())
        .map_err(|error| format!("tensor `{name}`: {error}"))
}

/// Whether the values follow each other without gaps, the last dimension fastest.
fn is_contiguous(size: &[i64], stride: &[i64]) -> bool {
    let mut expected = 1;
    size.iter().zip(stride).rev().all(|(&len, &stride)| {
        let fits = len == 1 || stride == expected;
        expected *= len;
        fits
    })
}

fn bytes(n_values: usize, kind: Kind) -> u64 {
    (n_values as u64).saturating_mul(kind.elt_size_in_bytes() as u64)
}

/// What `torch.save` wrote, as named entries below one directory.
struct Archive<R> {
    zip: ZipArchive<R>,
    /// Of all entries' names, with the slash.
    dir: String,
    big_endian: bool,
    /// Bytes that may yet be unpacked.
    allowance: u64,
}

impl<R: Read + Seek> Archive<R> {
    fn open(mut reader: R) -> Result<Self, String> {
        let length = reader.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
        let mut zip = ZipArchive::new(reader).map_err(damaged)?;
        zip.validate_header_consistency().map_err(damaged)?;
        let dirs: Vec<String> =
            zip.file_names().flatten().filter_map(|name| dir(&name, "data.pkl")).collect();
        let [dir] = &dirs[..] else {
            return Err(format!(
                "it is a zip archive with {} entries `data.pkl`, where torch.save writes one",
                dirs.len()
            ));
        };
        let allowance = length.saturating_mul(MAX_GROWTH).max(MIN_ALLOWANCE);
        let mut archive = Self { dir: dir.clone(), zip, big_endian: false, allowance };
        if archive.has("constants.pkl") {
            return Err("refused: a TorchScript program; in Python, save its weights: \
                        torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)"
                .to_owned());
        }
        if archive.has("byteorder") {
            archive.big_endian = match &archive.read("byteorder", None)?[..] {
                b"little" => false,
                b"big" => true,
                _ => return Err("its entry `byteorder` is neither `little` nor `big`".to_owned()),
            };
        }
        Ok(archive)
    }

    fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{}{name}", self.dir)).is_some()
    }

    /// The bytes of an entry, which must be `expected` if that is known.
    fn read(&mut self, name: &str, expected: Option<u64>) -> Result<Vec<u8>, String> {
        let full_name = format!("{}{name}", self.dir);
        let in_entry = |reason: String| format!("its entry `{full_name}`: {reason}");
        let entry = self.zip.by_name(&full_name).map_err(|error| in_entry(error.to_string()))?;
        let n_bytes = entry.size();
        let limit = expected.unwrap_or(MAX_PICKLE);
        if n_bytes > limit || expected.is_some_and(|expected| n_bytes != expected) {
            let relation = if expected.is_some() { "" } else { "at most " };
            return Err(in_entry(format!("expected {relation}{limit} bytes, got {n_bytes}")));
        }
        self.allowance = self.allowance.checked_sub(n_bytes).ok_or_else(|| {
            in_entry(format!("the file would unpack to more than {MAX_GROWTH} times its size"))
        })?;
        let mut bytes = Vec::new();
        // One byte more than there should be, so that the end is seen, and with it the checksum.
        entry.take(n_bytes + 1).read_to_end(&mut bytes).map_err(|error| in_entry(error.to_string()))?;
        if bytes.len() as u64 != n_bytes {
            return Err(in_entry(format!("expected {n_bytes} bytes, got {} or more", bytes.len())));
        }
        Ok(bytes)
    }

    /// The values of a storage, little-endian.
    fn values(&mut self, key: &str, storage: &Storage) -> Result<Vec<u8>, String> {
        let expected = bytes(storage.n_values, storage.kind);
        let mut values = self.read(&format!("data/{key}"), Some(expected))?;
        if self.big_endian {
            values.chunks_exact_mut(storage.kind.elt_size_in_bytes()).for_each(<[u8]>::reverse);
        }
        Ok(values)
    }
}

/// The directory of an entry of this name, with its slash.
fn dir(entry: &str, name: &str) -> Option<String> {
    let dir = entry.strip_suffix(name)?;
    (dir.is_empty() || dir.ends_with('/')).then(|| dir.to_owned())
}

fn damaged(error: zip::result::ZipError) -> String {
    format!("as a zip archive: {error}")
}
