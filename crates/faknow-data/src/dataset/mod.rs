//! The data set contract: samples that can be assembled into a batch by their indices.

mod subset;
mod tensor_dataset;

pub use subset::Subset;
pub use tensor_dataset::TensorDataset;

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

    /// Class of a sample, if it is labeled; class-balanced sampling and splits need it. By default none is.
    fn class(&self, index: usize) -> Option<usize> {
        let _ = index;
        None
    }

    /// Number of samples of each class, up to the largest that occurs; empty if none is labeled.
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
