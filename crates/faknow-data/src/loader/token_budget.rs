//! Batches with a maximum number of tokens.

use std::sync::Arc;

use crate::Dataset;

/// Lengths are rounded up to a multiple of this, so that texts of similar length are in different batches in each epoch.
const ROUNDING: usize = 8;

/// The batches of samples sorted by rounded length. They are the same in every epoch, except for the order of the samples of
/// each rounded length.
#[derive(Debug)]
pub(super) struct TokenBudget {
    /// The end of each batch among the sorted samples.
    pub(super) ends: Arc<[u32]>,
}

impl TokenBudget {
    /// Fills batches up to `max_tokens` tokens or `batch_size` samples.
    pub(super) fn new<D: Dataset>(dataset: &D, max_tokens: usize, batch_size: usize) -> Self {
        let mut widths: Vec<usize> =
            (0..dataset.n_samples() as u32).map(|sample| Self::width(dataset, sample)).collect();
        widths.sort_unstable();
        let (mut ends, mut start) = (Vec::new(), 0);
        for (index, &width) in widths.iter().enumerate() {
            let n = index + 1 - start;
            // Sorted, so that this sample is the widest of the batch.
            if n > 1 && (n > batch_size || n.saturating_mul(width) > max_tokens) {
                ends.push(index as u32);
                start = index;
            }
        }
        ends.push(widths.len() as u32);
        Self { ends: ends.into() }
    }

    /// Returns the rounded length of a sample.
    pub(super) fn width<D: Dataset>(dataset: &D, sample: u32) -> usize {
        dataset.length(sample as usize).max(1).next_multiple_of(ROUNDING)
    }
}
