//! The data set contract: samples that can be assembled into a batch by their indices.

use crate::{Batch, Result};

/// A finite set of samples that any thread may assemble batches from.
pub trait Dataset: Send + Sync {
    /// What a batch of these samples is.
    type Batch: Batch;

    /// Number of samples.
    fn n_samples(&self) -> usize;

    /// Assembles the samples `indices` (each below `n_samples`), in that order.
    fn batch(&self, indices: &[usize]) -> Result<Self::Batch>;

    /// Size of a sample in its own unit (tokens, nodes); length buckets sort by it. By default all are 1.
    fn length(&self, index: usize) -> usize {
        let _ = index;
        1
    }

    /// A number that changes with the contents, by which a resumed run sees that its data are still the same. By
    /// default there is none, and only the number of samples is compared.
    fn fingerprint(&self) -> Option<u64> {
        None
    }

    /// Class of a sample, if it is labelled; class-balanced sampling and splits need it. By default none is.
    fn class(&self, index: usize) -> Option<usize> {
        let _ = index;
        None
    }
}
