//! The dataset trait and generic datasets.

mod subset;
mod tensor_dataset;

pub use subset::Subset;
pub use tensor_dataset::TensorDataset;

use crate::{Batch, Result};

/// A finite set of samples, from which any thread can assemble batches.
pub trait Dataset: Send + Sync {
    /// The type of a batch of these samples.
    type Batch: Batch;

    /// Returns the number of samples.
    fn n_samples(&self) -> usize;

    /// Assembles a batch of the samples at `indices` (each below `n_samples`), in this order.
    fn batch(&self, indices: &[usize]) -> Result<Self::Batch>;

    /// Returns the size of a sample in its unit (tokens, nodes), by which length buckets are sorted; default 1.
    fn length(&self, index: usize) -> usize {
        let _ = index;
        1
    }

    /// Returns a hash of the contents, with which a resumed run verifies that its data are unchanged. Default: `None`, so that
    /// only the number of samples is compared.
    fn fingerprint(&self) -> Option<u64> {
        None
    }

    /// Returns the class index of a sample, if it is labeled; required for class-balanced sampling and stratified splits.
    /// Default: `None`.
    fn class(&self, index: usize) -> Option<usize> {
        let _ = index;
        None
    }

    /// Returns the number of samples of each class, up to the largest class that occurs; empty if no sample is labeled.
    fn class_counts(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for class in (0..self.n_samples()).filter_map(|index| self.class(index)) {
            if counts.len() <= class {
                counts.resize(class + 1, 0);
            }
            counts[class] += 1;
        }
        counts
    }
}
