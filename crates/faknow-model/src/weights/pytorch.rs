//! State dicts in the format of `torch.save`: a zip archive of a pickle and the raw values of the tensors.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use tch::Tensor;
use zip::ZipArchive;

use super::objects::Storage;
use super::pickle;
use super::state_dict::{MAX_EXPANSION, MAX_PICKLE_SIZE, allowance, by_storage, size_in_bytes, tensor};

/// Reads the tensors of an archive, to the CPU, without shared memory.
pub(super) fn decode(reader: impl Read + Seek) -> Result<BTreeMap<String, Tensor>, String> {
    let mut archive = Archive::open(reader)?;
    let (root, objects) = pickle::read(&archive.read("data.pkl", None)?)?;
    let by_storage = by_storage(root, &objects, archive.allowance)?;
    let mut tensors = BTreeMap::new();
    for (key, (storage, layouts)) in by_storage {
        let values = archive.values(key, storage)?;
        for (name, layout) in layouts {
            tensors.insert(name.to_owned(), tensor(&values, layout, name)?);
        }
    }
    Ok(tensors)
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
        let mut archive = Self { dir: dir.clone(), zip, is_big_endian: false, allowance: allowance(length) };
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
