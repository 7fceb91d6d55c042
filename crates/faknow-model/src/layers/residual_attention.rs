//! The transformer block of MFAN.

use tch::Tensor;
use tch::nn::Path;

use super::{DotAttention, FeedForward, dropout, glorot_normal};
use crate::{Mode, Result};

/// Added to the square root of the key size, by which FaKnow divides the scores.
const EPS: f64 = 1e-6;

/// Attention and feed-forward layers, both with a residual connection and without normalization.
///
/// Parameters: `W_q`, `W_k` `[size, n_heads * key_size]`, `W_v` `[size, n_heads * value_size]`, `W_o`
/// `[n_heads * value_size, size]`, `ffn.dense1.*`, `ffn.dense2.*`.
#[derive(Debug)]
pub struct ResidualAttention {
    /// Of queries, keys and values.
    projections: [Tensor; 3],
    output: Tensor,
    attention: DotAttention,
    ffn: FeedForward,
    dropout: f64,
}

/// Sizes of [`ResidualAttention`].
#[derive(Debug, Clone, Copy)]
pub struct ResidualAttentionSizes {
    /// Length of the vectors, at least 1.
    pub size: i64,
    /// Number of heads, at least 1.
    pub n_heads: i64,
    /// Length of the queries and keys of a head, at least 1.
    pub key_size: i64,
    /// Length of the values of a head, at least 1.
    pub value_size: i64,
    /// Dropout probability of the outputs of both layers, from 0 to below 1.
    pub dropout: f64,
}

impl ResidualAttention {
    /// Creates the layers.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, sizes: ResidualAttentionSizes) -> Result<Self> {
        let ResidualAttentionSizes { size, n_heads, key_size, value_size, dropout } = sizes;
        let (keys, values) = (n_heads * key_size, n_heads * value_size);
        let weight = |name: &str, dims: [i64; 2]| glorot_normal(path, name, &dims);
        let scale = 1.0 / ((key_size as f64).sqrt() + EPS);
        Ok(Self {
            projections: [
                weight("W_q", [size, keys])?,
                weight("W_k", [size, keys])?,
                weight("W_v", [size, values])?,
            ],
            output: weight("W_o", [values, size])?,
            attention: DotAttention { n_heads, scale, dropout: 0.0 },
            ffn: FeedForward::new(&(path / "ffn"), [size, size, size], 0.0)?,
            dropout,
        })
    }

    /// Maps queries `[n, n_queries, size]`, which attend to `context` `[n, n_keys, size]`, to the same shape.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, queries: &Tensor, context: &Tensor, mode: Mode) -> Result<Tensor> {
        let [query, key, value] = &self.projections;
        let inputs = [&queries.f_matmul(query)?, &context.f_matmul(key)?, &context.f_matmul(value)?];
        let attended = self.attention.forward(inputs, None, mode)?.f_matmul(&self.output)?;
        let x = queries.f_add(&dropout(&attended, self.dropout, mode)?)?;
        Ok(dropout(&self.ffn.forward(&x, mode)?, self.dropout, mode)?.f_add(&x)?)
    }
}
