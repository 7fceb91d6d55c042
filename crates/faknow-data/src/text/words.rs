//! Texts of a batch as padded rows of token ids.

use tch::{Device, Kind, Tensor};

use super::PADDING;
use crate::{Error, Result};

/// Texts as rows of token ids, padded on the right to a common length.
#[derive(Debug)]
pub struct Words {
    /// Token ids, i64 `[n, len]`; [`PADDING`] after the end of each text.
    pub ids: Tensor,
    /// Number of tokens of each text without padding, i64 `[n]`.
    pub lengths: Tensor,
}

impl Words {
    /// Creates a batch of texts from token ids, i64 `[n, len]`. The length of a text is the position of its last token that is
    /// not padding.
    ///
    /// # Errors
    /// [`Error::Setting`]: `ids` has the wrong shape or kind.
    pub fn new(ids: Tensor) -> Result<Self> {
        let (n, len) = match ids.size()[..] {
            [n, len] if ids.kind() == Kind::Int64 => (n, len),
            _ => return Err(Error::tensor("ids", "i64 [n, len]", &ids)),
        };
        // The position of the last token, not the number of tokens: a padding id within a text is a token too.
        let positions = Tensor::f_arange_start(1, len + 1, (Kind::Int64, ids.device()))?;
        let ends = ids.f_ne(i64::from(PADDING))?.f_to_kind(Kind::Int64)?.f_mul(&positions)?;
        let lengths = match len {
            0 => Tensor::f_zeros([n], (Kind::Int64, ids.device()))?,
            _ => ends.f_amax([1], false)?,
        };
        Ok(Self { ids, lengths })
    }

    /// Returns the number of texts.
    pub fn n_texts(&self) -> usize {
        self.lengths.numel()
    }

    /// Returns which columns are tokens rather than padding, bool `[n, len]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn mask(&self) -> Result<Tensor> {
        lengths_to_mask(&self.lengths, self.ids.size()[1])
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self { ids: self.ids.to_device(device), lengths: self.lengths.to_device(device) }
    }
}

/// Returns which of `len` columns are below the length of each row, bool `[n, len]`, for lengths i64 `[n]`.
pub(super) fn lengths_to_mask(lengths: &Tensor, len: i64) -> Result<Tensor> {
    let columns = Tensor::f_arange(len, (Kind::Int64, lengths.device()))?;
    Ok(columns.f_unsqueeze(0)?.f_lt_tensor(&lengths.f_unsqueeze(1)?)?)
}
