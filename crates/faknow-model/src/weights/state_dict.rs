//! The state dict of a checkpoint, and its tensors as views of storages.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::objects::{Layout, Objects, Storage, Value};
use super::safetensors::from_raw;

/// Common keys of the state dict in a checkpoint.
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Maximum size of a pickle in bytes; a tensor takes about a hundred.
pub(super) const MAX_PICKLE_SIZE: u64 = 1 << 24;

/// Maximum ratio of the size of the tensors to that of the file, as compression and views allow, and the size that is always
/// allowed.
pub(super) const MAX_EXPANSION: u64 = 64;
const MIN_ALLOWANCE: u64 = 1 << 24;

/// Tensors by name.
pub(super) type Layouts<'a> = BTreeMap<&'a str, &'a Layout>;

/// Returns how many bytes the tensors of a file of `length` bytes may take.
pub(super) fn allowance(length: u64) -> u64 {
    length.saturating_mul(MAX_EXPANSION).max(MIN_ALLOWANCE)
}

/// Returns the tensors of the state dict by the key of their storage, whose values take at most `allowance` bytes.
pub(super) fn by_storage(
    root: Value,
    objects: &Objects,
    allowance: u64,
) -> Result<BTreeMap<&str, (&Storage, Layouts<'_>)>, String> {
    let mut by_storage: BTreeMap<&str, (&Storage, Layouts<'_>)> = BTreeMap::new();
    let mut n_bytes = 0_u64;
    for (name, layout) in state_dict(root, objects)? {
        let storage = &layout.storage;
        n_bytes = n_bytes.saturating_add(size_in_bytes(layout.n_values, storage.kind));
        if n_bytes > allowance {
            return Err(format!(
                "tensors: expected at most {allowance} bytes for the size of the file, got {n_bytes} up to `{name}`"
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
    Ok(by_storage)
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
pub(super) fn tensor(values: &[u8], layout: &Layout, name: &str) -> Result<Tensor, String> {
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

/// Returns the size of this many values.
pub(super) fn size_in_bytes(n_values: usize, kind: Kind) -> u64 {
    (n_values as u64).saturating_mul(kind.elt_size_in_bytes() as u64)
}
