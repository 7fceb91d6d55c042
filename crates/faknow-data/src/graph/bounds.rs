//! Limits for sizes read from tree files, which are checked before memory is allocated.

/// Maximum number of features per node. The first weight of a model has a column per feature: with 64 rows, 256 MiB.
pub(super) const MAX_FEATURES: usize = 1 << 20;

/// Checks a feature index, counted from 0.
pub(super) fn check_feature(index: u64) -> Result<u32, String> {
    match u32::try_from(index) {
        Ok(column) if (column as usize) < MAX_FEATURES => Ok(column),
        _ => Err(format!("expected a feature index from 0 to {}, got {index}", MAX_FEATURES - 1)),
    }
}

/// Checks the number of features per node.
pub(super) fn check_width(n_features: usize) -> Result<(), String> {
    match n_features <= MAX_FEATURES {
        true => Ok(()),
        false => Err(format!("expected at most {MAX_FEATURES} features per node, got {n_features}")),
    }
}
