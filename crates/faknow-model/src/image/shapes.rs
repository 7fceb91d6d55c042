//! Names and shapes of the weights of an image encoder, from which its sizes are read.

use std::collections::BTreeMap;

use tch::Tensor;

/// Tensors by name.
pub(super) type Tensors = BTreeMap<String, Tensor>;

/// Reads sizes from tensors; an error is one phrase about a tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shapes<'a>(pub &'a Tensors);

impl Shapes<'_> {
    /// Returns whether there is a tensor of this name.
    pub(super) fn has(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns the shape of a tensor of `N` dimensions.
    pub(super) fn get<const N: usize>(self, name: &str) -> Result<[i64; N], String> {
        let size = self.0.get(name).ok_or_else(|| format!("missing `{name}`"))?.size();
        let shape = <[i64; N]>::try_from(&*size).ok().filter(|shape| shape.iter().all(|&n| n > 0));
        shape.ok_or_else(|| format!("`{name}`: expected {N} dimensions of at least 1, got {size:?}"))
    }

    /// Returns the shape of a matrix, if there is one of this name; other tensors are not layers of the architecture.
    pub(super) fn matrix(self, name: &str) -> Option<[i64; 2]> {
        self.get(name).ok()
    }

    /// Returns the length of a list of modules, one more than the largest index that follows `prefix` in a name.
    pub(super) fn len(self, prefix: &str) -> usize {
        let index = |name: &String| name.strip_prefix(prefix)?.split('.').next()?.parse::<u16>().ok();
        self.0.keys().filter_map(index).max().map_or(0, |last| usize::from(last) + 1)
    }
}
