//! The hidden states of a batch.

use tch::{Kind, Tensor};

use super::layout::Layout;
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

    /// Returns the hidden state of the first token of each text, `[n, hidden_size]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn first(&self) -> Result<Tensor> {
        self.layout.pool(&self.rows, |block, _| Ok(block.f_select(1, 0)?))
    }

    /// Returns the mean of the hidden states of each text, `[n, hidden_size]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn mean(&self) -> Result<Tensor> {
        self.layout.pool(&self.rows, |block, mask| {
            let Some(mask) = mask else { return Ok(block.f_mean_dim([1].as_slice(), false, None::<Kind>)?) };
            let mask = mask.f_to_kind(block.kind())?.f_unsqueeze(2)?;
            let sum = |x: &Tensor| x.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>);
            Ok(sum(&block.f_mul(&mask)?)?.f_div(&sum(&mask)?)?)
        })
    }

    /// Returns the largest value of each component over the tokens of each text, `[n, hidden_size]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn max(&self) -> Result<Tensor> {
        self.layout.pool(&self.rows, |block, mask| {
            let Some(mask) = mask else { return Ok(block.f_amax([1], false)?) };
            let is_padding = mask.f_logical_not()?.f_unsqueeze(2)?;
            Ok(block.f_masked_fill(&is_padding, f64::NEG_INFINITY)?.f_amax([1], false)?)
        })
    }
}
