//! Co-attention of MCAN: two vectors attend to each other.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{AddNorm, FeedForward, LayerNorm, Linear, dropout, kaiming_uniform};
use crate::{Error, Mode, Result};

/// Sizes of [`CoAttention`].
#[derive(Debug, Clone, Copy)]
pub struct CoAttentionSizes {
    /// Length of the vectors, a multiple of `n_heads`.
    pub size: i64,
    /// Number of attention heads, at least 1; at most the square root of `size` if `faithful`.
    pub n_heads: i64,
    /// Size of the hidden layer of the feed-forward layers, at least 1.
    pub ffn_size: i64,
    /// Dropout probability, from 0 to below 1.
    pub dropout: f64,
    /// Whether FaKnow's attention is computed.
    pub faithful: bool,
}

impl CoAttentionSizes {
    fn validate(&self) -> Result<()> {
        let Self { size, n_heads, faithful, .. } = *self;
        let max = if faithful { size.isqrt() } else { size };
        if n_heads < 1 || size % n_heads != 0 || n_heads > max {
            return Err(Error::Config {
                model: "MCAN",
                name: "n_heads",
                expected: format!("a divisor of `model_size`, {size}, of at most {max}"),
                got: n_heads.to_string(),
            });
        }
        Ok(())
    }
}

/// The co-attention block of MCAN: each of two vectors attends to the values of the other one, followed by feed-forward layers;
/// both results are concatenated and mapped to one vector.
///
/// Parameters: `attention_1.*`, `attention_2.*` (`linear_q.weight`, `linear_k.weight`, `linear_v.weight` `[size, 1]`,
/// `linear_final.weight` `[1, size]`, `layer_norm.*`), `ffn1.*`, `ffn2.*`, `ffn_addnorm1.*`, `ffn_addnorm2.*`,
/// `fusion_linear.*`.
#[derive(Debug)]
pub struct CoAttention {
    sides: [(ScalarAttention, FeedForward, AddNorm); 2],
    fusion: Linear,
}

impl CoAttention {
    /// Creates the layers.
    ///
    /// # Errors
    /// [`Error::Config`]: `n_heads` is out of range.
    pub fn new(path: &Path<'_>, sizes: CoAttentionSizes) -> Result<Self> {
        sizes.validate()?;
        let CoAttentionSizes { size, ffn_size, dropout, .. } = sizes;
        let side = |i: usize| -> Result<_> {
            Ok((
                ScalarAttention::new(&(path / format!("attention_{i}")), sizes)?,
                FeedForward::new(&(path / format!("ffn{i}")), [size, ffn_size, size], dropout)?,
                AddNorm::new(&(path / format!("ffn_addnorm{i}")), size, dropout)?,
            ))
        };
        Ok(Self {
            sides: [side(1)?, side(2)?],
            fusion: Linear::new(&(path / "fusion_linear"), 2 * size, size)?,
        })
    }

    /// Fuses two vectors per sample, each `[n, size]`, to `[n, size]`.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, first: &Tensor, second: &Tensor, mode: Mode) -> Result<Tensor> {
        let [one, two] = &self.sides;
        let side = |(attention, ffn, norm): &(ScalarAttention, FeedForward, AddNorm), x, y| {
            let attended = attention.forward(x, y, mode)?;
            norm.forward(&attended, &ffn.forward(&attended, mode)?, mode)
        };
        self.fusion.forward(&Tensor::f_cat(&[side(one, first, second)?, side(two, second, first)?], 1)?)
    }
}

/// Multi-head attention over the values of a vector, each of which is a token of size 1.
#[derive(Debug)]
struct ScalarAttention {
    /// Of queries, keys and values, `[size, 1]`.
    projections: [Tensor; 3],
    /// `[1, size]`
    output: Tensor,
    norm: LayerNorm,
    sizes: CoAttentionSizes,
}

impl ScalarAttention {
    fn new(path: &Path<'_>, sizes: CoAttentionSizes) -> Result<Self> {
        let projection = |name: &str| kaiming_uniform(&(path / name), "weight", &[sizes.size, 1]);
        Ok(Self {
            projections: [projection("linear_q")?, projection("linear_k")?, projection("linear_v")?],
            output: kaiming_uniform(&(path / "linear_final"), "weight", &[1, sizes.size])?,
            norm: LayerNorm::new(&(path / "layer_norm"), sizes.size)?,
            sizes,
        })
    }

    /// Returns the normalized sum of `x` `[n, size]` and what its values read of the values of `y` `[n, size]`.
    fn forward(&self, x: &Tensor, y: &Tensor, mode: Mode) -> Result<Tensor> {
        let attended =
            if self.sizes.faithful { self.faithful(x, y, mode)? } else { self.attend(x, y, mode)? };
        self.norm.forward(&x.f_add(&dropout(&attended, self.sizes.dropout, mode)?)?)
    }

    /// Computes multi-head attention without tensors `[n, size, size]` of queries, keys or values.
    ///
    /// Since tokens have one value, the score of the values x_i and y_j in a head is x_i y_j times a constant of the head, the
    /// product of the weights of query and key; and its part of the output is the mean of y by the attention weights, times the
    /// product of the weights of value and output.
    fn attend(&self, x: &Tensor, y: &Tensor, mode: Mode) -> Result<Tensor> {
        let CoAttentionSizes { size, n_heads, dropout: rate, .. } = self.sizes;
        let [query, key, value] = &self.projections;
        let of_heads = |a: &Tensor, b: &Tensor| -> Result<Tensor> {
            let products = a.f_view([n_heads, -1])?.f_mul(&b.f_view([n_heads, -1])?)?;
            Ok(products.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>)?)
        };
        let scale = (n_heads as f64 / size as f64).sqrt();
        let scores = of_heads(query, key)?.f_mul_scalar(scale)?.f_view([1, n_heads, 1, 1])?;
        let products = x.f_unsqueeze(2)?.f_matmul(&y.f_unsqueeze(1)?)?.f_unsqueeze(1)?; // [n, 1, size, size]
        let weights = dropout(&products.f_mul(&scores)?.f_softmax(-1, None::<Kind>)?, rate, mode)?;
        let means = weights.f_matmul(&y.f_unsqueeze(1)?.f_unsqueeze(3)?)?.f_squeeze_dim(3)?; // [n, n_heads, size]
        let outputs = of_heads(value, &self.output)?.f_view([1, 1, n_heads])?;
        Ok(outputs.f_matmul(&means)?.f_squeeze_dim(1)?)
    }

    /// Computes FaKnow's attention: heads are split without transposing, so that a head mixes tokens; the scale divides by the number of
    /// heads twice; the softmax is over the queries.
    fn faithful(&self, x: &Tensor, y: &Tensor, mode: Mode) -> Result<Tensor> {
        let CoAttentionSizes { size, n_heads, dropout: rate, .. } = self.sizes;
        let n = x.size()[0];
        let [query, key, value] = &self.projections;
        let split = |x: &Tensor, weight: &Tensor| {
            x.f_unsqueeze(2)?.f_matmul(&weight.f_tr()?)?.f_view([n, n_heads, size, size / n_heads])
        };
        let (queries, keys, values) = (split(x, query)?, split(y, key)?, split(y, value)?);
        let scale = ((size / n_heads / n_heads) as f64).powf(-0.5);
        let scores = queries.f_matmul(&keys.f_transpose(2, 3)?)?.f_mul_scalar(scale)?;
        let weights = dropout(&scores.f_softmax(2, None::<Kind>)?, rate, mode)?;
        let context = weights.f_matmul(&values)?.f_view([n, size, size])?;
        Ok(context.f_matmul(&self.output.f_tr()?)?.f_squeeze_dim(2)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::DotAttention;
    use tch::Device;
    use tch::nn::VarStore;

    #[test]
    fn attention_equals_that_of_tokens_with_one_value() {
        tch::manual_seed(2);
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(Kind::Double);
        let sizes = CoAttentionSizes { size: 6, n_heads: 3, ffn_size: 4, dropout: 0.0, faithful: false };
        let layer = ScalarAttention::new(&vars.root(), sizes).unwrap();
        let (x, y) =
            (Tensor::randn([4, 6], tch::kind::DOUBLE_CPU), Tensor::randn([4, 6], tch::kind::DOUBLE_CPU));
        let [query, key, value] = layer.projections.each_ref().map(Tensor::tr);
        let token = |x: &Tensor, weight: &Tensor| x.unsqueeze(2).matmul(weight);
        let attention = DotAttention { n_heads: 3, scale: 0.5f64.sqrt(), dropout: 0.0 };
        let inputs = [&token(&x, &query), &token(&y, &key), &token(&y, &value)];
        let context = attention.forward(inputs, None, Mode::Eval).unwrap();
        let expected = context.matmul(&layer.output.tr()).squeeze_dim(2);
        let difference = (layer.attend(&x, &y, Mode::Eval).unwrap() - expected).abs().max();
        assert!(difference.double_value(&[]) < 1e-12);
    }
}
