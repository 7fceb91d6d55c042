//! What all columns of a data set have in common.

use crate::fingerprint::Fingerprint;

/// One field of all samples of a data set, one row per sample.
pub(crate) trait Column: Send + Sync {
    /// Returns the number of rows.
    fn n_rows(&self) -> usize;

    /// Adds a number to `fingerprint` that is another for other contents.
    fn add_to(&self, fingerprint: &mut Fingerprint);

    /// Returns the size of a row in the field's unit (tokens, nodes), by which samples are put into length buckets. Default:
    /// 0, for a field whose rows are all of one size.
    fn size(&self, row: usize) -> usize {
        let _ = row;
        0
    }
}
