//! Multi-head attention over the texts of a batch: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017.

use tch::Tensor;

use super::layout::Layout;
use crate::layers::dropout;
use crate::{Mode, Result};

/// What is added to the scores of tokens that are not attended to: finite, since rows of padding may attend to nothing.
pub(super) const MASKED: f64 = f32::MIN as f64;

/// Attention of each text to itself.
pub(super) struct Attention<'a> {
    pub layout: &'a Layout,
    pub n_heads: i64,
    /// Factor of the products of queries and keys.
    pub scale: f64,
    /// Dropout probability of the attention weights.
    pub dropout: f64,
    pub mode: Mode,
}

impl Attention<'_> {
    /// Computes the weighted means of the values: queries, keys and values `[n_rows, size]` to `[n_rows, size]`.
    ///
    /// `bias` returns what is added to the scaled scores of a block of texts, broadcast to `[n_texts, n_heads, len, len]`, given
    /// its number, queries and keys, both `[n_texts, n_heads, len, size / n_heads]`.
    pub(super) fn forward(
        &self,
        [queries, keys, values]: [&Tensor; 3],
        bias: impl Fn(usize, &Tensor, &Tensor) -> Result<Option<Tensor>>,
    ) -> Result<Tensor> {
        let size = queries.size()[1];
        let (queries, keys, values) =
            (self.layout.split(queries)?, self.layout.split(keys)?, self.layout.split(values)?);
        let mut outputs = Vec::with_capacity(queries.len());
        for (block, ((queries, keys), values)) in queries.iter().zip(&keys).zip(&values).enumerate() {
            let (queries, keys, values) = (self.heads(queries)?, self.heads(keys)?, self.heads(values)?);
            let bias = self.masked(bias(block, &queries, &keys)?, &queries)?;
            let output = self.attend([&queries, &keys, &values], bias.as_ref())?;
            outputs.push(output.f_transpose(1, 2)?.f_reshape([-1, size])?);
        }
        if outputs.len() == 1 {
            return Ok(outputs.remove(0));
        }
        Ok(Tensor::f_cat(&outputs, 0)?)
    }

    /// Returns vectors `[n_texts, len, size]` by head, `[n_texts, n_heads, len, size / n_heads]`.
    fn heads(&self, block: &Tensor) -> Result<Tensor> {
        let size = block.size();
        Ok(block.f_view([size[0], size[1], self.n_heads, size[2] / self.n_heads])?.f_transpose(1, 2)?)
    }

    /// Excludes padding.
    fn masked(&self, bias: Option<Tensor>, queries: &Tensor) -> Result<Option<Tensor>> {
        let Some(mask) = &self.layout.mask else { return Ok(bias) };
        let is_padding = mask.f_logical_not()?.f_unsqueeze(1)?.f_unsqueeze(1)?; // [n, 1, 1, len]
        let bias = match bias {
            Some(bias) => bias,
            None => is_padding.f_zeros_like()?.f_to_kind(queries.kind())?,
        };
        Ok(Some(bias.f_masked_fill(&is_padding, MASKED)?))
    }

    fn attend(&self, [queries, keys, values]: [&Tensor; 3], bias: Option<&Tensor>) -> Result<Tensor> {
        if !self.mode.is_train() || self.dropout == 0.0 {
            let scale = Some(self.scale);
            return Ok(Tensor::f_scaled_dot_product_attention(
                queries, keys, values, bias, 0.0, false, scale, false,
            )?);
        }
        let scores = queries.f_mul_scalar(self.scale)?.f_matmul(&keys.f_transpose(2, 3)?)?;
        let scores = match bias {
            Some(bias) => scores.f_add(bias)?,
            None => scores,
        };
        let weights = dropout(&scores.f_softmax(-1, None)?, self.dropout, self.mode)?;
        Ok(weights.f_matmul(values)?)
    }
}
