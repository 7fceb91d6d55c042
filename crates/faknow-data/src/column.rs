//! The trait of the columns of a dataset.

use crate::fingerprint::Fingerprint;

/// One field of all samples of a dataset, one row per sample.
pub(crate) trait Column: Send + Sync {
    /// Returns the number of rows.
    fn n_rows(&self) -> usize;

    /// Adds a hash of the contents to `fingerprint`.
    fn add_to(&self, fingerprint: &mut Fingerprint);

    /// Returns the size of a row in the field's unit (tokens, nodes), which determines its length bucket. Default: 0, for fields
    /// whose rows all have the same size.
    fn size(&self, row: usize) -> usize {
        let _ = row;
        0
    }
}
