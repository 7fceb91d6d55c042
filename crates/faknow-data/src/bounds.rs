//! Limits for sizes read from data files, which are checked before memory is allocated. `docs/data-formats.md` lists them.

/// Maximum number of features per node. The first weight of a model has a column per feature: with 64 rows, 256 MiB.
pub(crate) const MAX_FEATURES: usize = 1 << 20;

/// Maximum length of a line of a JSON lines file of trees in bytes.
pub(crate) const MAX_TREE_LINE_BYTES: u64 = 1 << 26;

/// Maximum size of the values of a NumPy array in bytes.
pub(crate) const MAX_ARRAY_BYTES: u64 = 1 << 33;

/// Maximum ratio of the size of a compressed array to its size in the archive, and the size up to which any ratio is allowed.
#[cfg(feature = "npz")]
pub(crate) const MAX_ARRAY_EXPANSION: u64 = 200;
#[cfg(feature = "npz")]
pub(crate) const FREE_ARRAY_BYTES: u64 = 1 << 28;

/// Maximum dimension of a word vector.
pub(crate) const MAX_VECTOR_DIM: usize = 1 << 12;

/// Maximum length of a word in a file of word vectors in bytes; a longer one means that the file has another format.
pub(crate) const MAX_VECTOR_WORD_BYTES: usize = 1 << 16;

/// Maximum length of a line of a text file of word vectors in bytes.
pub(crate) const MAX_VECTOR_LINE_BYTES: u64 = 1 << 20;

/// Maximum number of characters of an n-gram of a fastText model.
pub(crate) const MAX_NGRAM_CHARACTERS: i32 = 64;

/// Maximum size of the word vectors of a vocabulary in bytes.
pub(crate) const MAX_VECTOR_TABLE_BYTES: u64 = 1 << 33;

/// Checks a feature index, counted from 0.
pub(crate) fn check_feature(index: u64) -> Result<u32, String> {
    match u32::try_from(index) {
        Ok(column) if (column as usize) < MAX_FEATURES => Ok(column),
        _ => Err(format!("expected a feature index from 0 to {}, got {index}", MAX_FEATURES - 1)),
    }
}

/// Checks the number of features per node.
pub(crate) fn check_width(n_features: usize) -> Result<(), String> {
    match (1..=MAX_FEATURES).contains(&n_features) {
        true => Ok(()),
        false => Err(format!("expected 1 to {MAX_FEATURES} features per node, got {n_features}")),
    }
}
