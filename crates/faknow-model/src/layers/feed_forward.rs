//! The feed-forward layers of a transformer.

use tch::Tensor;
use tch::nn::Path;

use super::{Linear, dropout};
use crate::{Mode, Result};

/// Two linear layers with an activation in between and dropout at the end.
///
/// Parameters: `dense1.*`, `dense2.*`.
#[derive(Debug)]
pub struct FeedForward {
    dense: [Linear; 2],
    has_gelu: bool,
    dropout: f64,
}

impl FeedForward {
    /// Creates layers with ReLU for rows of `sizes[0]` values, through `sizes[1]` values, to `sizes[2]` values; `dropout` is a
    /// probability from 0 to below 1.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, sizes: [i64; 3], dropout: f64) -> Result<Self> {
        let [n_in, hidden, n_out] = sizes;
        let dense =
            [Linear::new(&(path / "dense1"), n_in, hidden)?, Linear::new(&(path / "dense2"), hidden, n_out)?];
        Ok(Self { dense, has_gelu: false, dropout })
    }

    /// Replaces ReLU by GELU.
    #[must_use]
    pub fn with_gelu(self) -> Self {
        Self { has_gelu: true, ..self }
    }

    /// Maps `[.., n_in]` to `[.., n_out]`.
    ///
    /// # Errors
    /// The last dimension is not `n_in`.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let [first, second] = &self.dense;
        let hidden = first.forward(x)?;
        let hidden = if self.has_gelu { hidden.f_gelu("none")? } else { hidden.f_relu()? };
        dropout(&second.forward(&hidden)?, self.dropout, mode)
    }
}
