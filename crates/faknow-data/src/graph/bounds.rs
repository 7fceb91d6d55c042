//! Bounds of sizes that files of trees state: they are checked before memory is allocated by them.

/// Maximum number of features of a node. The first weight of a model has a column per feature: at 64 rows, 256 MiB.
pub(super) const MAX_FEATURES: usize = 1 << 20;

/// Checks the position of a feature, counted from 0.
pub(super) fn check_feature(position: u64) -> Result<u32, String> {
    match u32::try_from(position) {
        Ok(column) if (column as usize) < MAX_FEATURES => Ok(column),
        _ => Err(format!("expected features from 0 to {}, got {position}", MAX_FEATURES - 1)),
    }
}

/// Checks the width of a matrix of features.
pub(super) fn check_width(n_features: usize) -> Result<(), String> {
    match n_features <= MAX_FEATURES {
        true => Ok(()),
        false => Err(format!("expected at most {MAX_FEATURES} features per node, got {n_features}")),
    }
}
