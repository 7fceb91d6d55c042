//! Texts of a batch as padded rows of subword ids.

use tch::{Device, Kind, Tensor};

use super::words::lengths_to_mask;
use crate::{Error, Result};

/// Texts as rows of subword ids, special tokens included, padded on the right to a common length: the input of encoders such as
/// BERT.
#[derive(Debug)]
pub struct Subwords {
    /// Subword ids, i64 `[n, len]`; after the end of a text any id, since [`lengths`](Self::lengths) determines the padding.
    pub ids: Tensor,
    /// Number of subwords of each text without padding, i64 `[n]`.
    pub lengths: Tensor,
}

impl Subwords {
    /// Creates a batch of texts from subword ids, i64 `[n, len]`, and the number of subwords of each text, i64 `[n]`.
    ///
    /// # Errors
    /// [`Error::Setting`]: a tensor has the wrong shape or kind.
    pub fn new(ids: Tensor, lengths: Tensor) -> Result<Self> {
        let n = match ids.size()[..] {
            [n, _] if ids.kind() == Kind::Int64 => n,
            _ => return Err(Error::tensor("ids", "i64 [n, len]", &ids)),
        };
        if lengths.size() != [n] || lengths.kind() != Kind::Int64 {
            return Err(Error::tensor("lengths", &format!("i64 [{n}]"), &lengths));
        }
        Ok(Self { ids, lengths })
    }

    /// Returns the number of texts.
    pub fn n_texts(&self) -> usize {
        self.lengths.numel()
    }

    /// Returns which columns are subwords rather than padding, bool `[n, len]`.
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
