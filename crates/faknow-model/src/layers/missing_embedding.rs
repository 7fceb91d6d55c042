//! A learned vector in place of the features of a missing text or image.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::Result;

/// A learned vector that replaces the features of samples without a text or an image.
///
/// Parameter: `embedding` `[size]`, initially 0.
#[derive(Debug)]
pub struct MissingEmbedding {
    embedding: Tensor,
}

impl MissingEmbedding {
    /// Creates a vector of length `size`.
    ///
    /// # Errors
    /// libtorch rejects the size.
    pub fn new(path: &Path<'_>, size: i64) -> Result<Self> {
        Ok(Self { embedding: path.f_var("embedding", &[size], Init::Const(0.0))? })
    }

    /// Returns `features` `[n, size]` or `[n, len, size]`, replaced by the vector, in all positions, where `present`, bool `[n]`,
    /// is false.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, features: &Tensor, present: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; features.dim()];
        shape[0] = -1;
        Ok(features.f_where_self(&present.f_view(&*shape)?, &self.embedding)?)
    }

    /// Returns the vector for `n` samples that are all missing, `[n, size]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn repeated(&self, n: i64) -> Result<Tensor> {
        Ok(self.embedding.f_unsqueeze(0)?.f_expand([n, -1], false)?)
    }
}
