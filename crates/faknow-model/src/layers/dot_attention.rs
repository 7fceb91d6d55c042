//! Scaled dot-product attention with several heads.
//!
//! Vaswani et al., *Attention Is All You Need*, NeurIPS 2017.

use tch::{Kind, Tensor};

use super::dropout;
use crate::{Mode, Result};

/// Score of a key that is padding: its weight is exactly 0 next to any other key.
const PADDING_SCORE: f64 = -1e30;

/// Scaled dot-product attention: the weights of the values are the softmax over the keys of the products of query and keys,
/// times `scale`.
#[derive(Debug, Clone, Copy)]
pub struct DotAttention {
    /// Number of heads, at least 1.
    pub n_heads: i64,
    /// Factor of the scores.
    pub scale: f64,
    /// Dropout probability of the weights, from 0 to below 1.
    pub dropout: f64,
}

impl DotAttention {
    /// Maps queries `[n, n_queries, n_heads * key_size]`, keys `[n, n_keys, n_heads * key_size]` and values
    /// `[n, n_keys, n_heads * value_size]` to `[n, n_queries, n_heads * value_size]`. `mask`, bool `[n, n_keys]`, marks the keys
    /// that are not padding; `None` if all are.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(
        &self,
        [queries, keys, values]: [&Tensor; 3],
        mask: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let split = |x: &Tensor| -> Result<Tensor> {
            let (n, len, size) = x.size3()?;
            Ok(x.f_view([n, len, self.n_heads, size / self.n_heads])?.f_transpose(1, 2)?)
        };
        let (queries, keys, values) = (split(queries)?, split(keys)?, split(values)?);
        let mut scores = queries.f_matmul(&keys.f_transpose(2, 3)?)?.f_mul_scalar(self.scale)?;
        if let Some(mask) = mask {
            let is_padding = mask.f_logical_not()?.f_unsqueeze(1)?.f_unsqueeze(1)?;
            scores = scores.f_masked_fill(&is_padding, PADDING_SCORE)?;
        }
        let weights = dropout(&scores.f_softmax(-1, None::<Kind>)?, self.dropout, mode)?;
        let context = weights.f_matmul(&values)?.f_transpose(1, 2)?; // [n, n_queries, n_heads, value_size]
        Ok(context.f_flatten(2, 3)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_padding_have_no_weight() {
        tch::manual_seed(1);
        let x = Tensor::randn([2, 4, 6], tch::kind::DOUBLE_CPU);
        let attention = DotAttention { n_heads: 2, scale: 0.5, dropout: 0.0 };
        let mask = Tensor::from_slice2(&[[true, true, false, false], [true; 4]]);
        let masked = attention.forward([&x, &x, &x], Some(&mask), Mode::Eval).unwrap();
        let part = x.narrow(0, 0, 1).narrow(1, 0, 2);
        let alone = attention.forward([&part, &part, &part], None, Mode::Eval).unwrap();
        assert!((alone.get(0) - masked.get(0).narrow(0, 0, 2)).abs().max().double_value(&[]) < 1e-12);
    }
}
