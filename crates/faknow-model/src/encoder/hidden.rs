//! The hidden states of a batch.

use tch::Tensor;

use super::layout::Layout;
use super::pooling::Pooling;
use crate::Result;

/// Hidden states of the texts of a batch, stored without padding.
#[derive(Debug)]
pub struct Hidden {
    rows: Tensor,
    layout: Layout,
}

impl Hidden {
    pub(super) fn new(rows: Tensor, layout: Layout) -> Self {
        Self { rows, layout }
    }

    /// Returns the hidden states of all tokens as `[n, len, hidden_size]`, 0 after the end of a text.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn padded(&self) -> Result<Tensor> {
        self.layout.pad(&self.rows)
    }

    /// Returns one vector per text, `[n, hidden_size]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn pool(&self, pooling: Pooling) -> Result<Tensor> {
        self.layout.pool(&self.rows, |block, mask| pooling.apply(block, mask))
    }
}
