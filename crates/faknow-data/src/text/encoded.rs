//! Texts of a batch as the output of an encoder that is not trained.

use tch::{Device, Tensor};

use super::words::lengths_to_mask;
use crate::{Error, Result};

/// Texts as rows of vectors, computed once by an encoder that is not trained, padded on the right to a common length.
#[derive(Debug)]
pub struct Encoded {
    /// Vectors `[n, len, size]`, zero after the end of a text; one vector per text if the encoder pools its output.
    pub vectors: Tensor,
    /// Number of vectors of each text without padding, i64 `[n]`.
    pub lengths: Tensor,
}

impl Encoded {
    /// Creates a batch of texts from vectors `[n, len, size]` and the number of vectors of each text, i64 `[n]`.
    ///
    /// # Errors
    /// [`Error::Setting`]: a tensor has the wrong shape or kind.
    pub fn new(vectors: Tensor, lengths: Tensor) -> Result<Self> {
        let n = match vectors.size()[..] {
            [n, _, _] if vectors.is_floating_point() => n,
            _ => return Err(Error::tensor("vectors", "floats [n, len, size]", &vectors)),
        };
        if lengths.size() != [n] || lengths.kind() != tch::Kind::Int64 {
            return Err(Error::tensor("lengths", &format!("i64 [{n}]"), &lengths));
        }
        Ok(Self { vectors, lengths })
    }

    /// Returns which columns are vectors of the text rather than padding, bool `[n, len]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn mask(&self) -> Result<Tensor> {
        lengths_to_mask(&self.lengths, self.vectors.size()[1])
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self { vectors: self.vectors.to_device(device), lengths: self.lengths.to_device(device) }
    }
}
