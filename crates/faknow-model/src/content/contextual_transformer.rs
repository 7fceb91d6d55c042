//! The contextual transformer of HMCAN: the tokens of one modality, and those of another one in their context.

use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use crate::encoder::Pooling;
use crate::layers::{AddNorm, DotAttention, FeedForward, LayerNorm, dropout, kaiming_uniform};
use crate::{Mode, Result};

/// Base of the wavelengths of the positions.
const BASE: f64 = 10000.0;

/// Sizes of a [`ContextualTransformer`].
#[derive(Debug, Clone, Copy)]
pub struct ContextualSizes {
    /// Length of the vectors, at least 1.
    pub size: i64,
    /// Number of layers of the encoder of the left modality and of that of the right one in its context, each at least 1.
    pub n_layers: [i64; 2],
    /// Numbers of attention heads of these encoders, each at least 1.
    pub n_heads: [i64; 2],
    /// Length of the queries, keys and values of a head, at least 1.
    pub key_size: i64,
    /// Dropout probability, from 0 to below 1.
    pub dropout: f64,
    /// Whether every layer reads the input, so that only the last one has an effect, and the wavelengths of the positions are
    /// FaKnow's.
    pub faithful: bool,
}

/// Vectors of the tokens of a modality.
#[derive(Debug)]
pub struct ModalityTokens {
    /// The vectors, `[n, len, size]`.
    pub vectors: Tensor,
    /// Which of them are tokens rather than padding, bool `[n, len]`, at least one per sample.
    pub mask: Tensor,
}

/// Two transformer encoders: one of the tokens of a modality, with positions; and one of the tokens of another modality, which
/// attend to the output of the first.
///
/// Parameters: `input_norm.*`; `transformer1.encoder_layers.<i>.*` and `transformer2.encoder_layers.<i>.*`, of which each has
/// `attention.W_q.weight`, `W_k`, `W_v` `[n_heads * key_size, size]`, `W_o` `[size, n_heads * key_size]`, `addnorm1.ln.*`,
/// `ffn.dense1.*`, `ffn.dense2.*`, `addnorm2.ln.*`.
#[derive(Debug)]
pub struct ContextualTransformer {
    norm: LayerNorm,
    encoders: [Vec<Layer>; 2],
    sizes: ContextualSizes,
}

impl ContextualTransformer {
    /// Creates the layers.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, sizes: ContextualSizes) -> Result<Self> {
        let encoder = |i: usize| -> Result<Vec<Layer>> {
            let path = path / format!("transformer{}", i + 1) / "encoder_layers";
            (0..sizes.n_layers[i])
                .map(|layer| Layer::new(&(&path / layer), sizes, sizes.n_heads[i]))
                .collect()
        };
        let norm = LayerNorm::new(&(path / "input_norm"), sizes.size)?;
        Ok(Self { norm, encoders: [encoder(0)?, encoder(1)?], sizes })
    }

    /// Returns the mean of the encoded tokens of `left` and of those of `right` in their context, `[n, 2 * size]`.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, left: &ModalityTokens, right: &ModalityTokens, mode: Mode) -> Result<Tensor> {
        let [first, second] = &self.encoders;
        let x = self.norm.forward(&left.vectors)?;
        let positions = self.positions(x.size()[1], x.device())?.f_to_kind(x.kind())?;
        let x = dropout(&x.f_add(&positions)?, self.sizes.dropout, mode)?;
        let encoded = self.encode(first, &x, None, &left.mask, mode)?;
        let crossed = self.encode(second, &right.vectors, Some(&encoded), &left.mask, mode)?;
        let encoded = Pooling::Mean.apply(&encoded, Some(&left.mask))?;
        Ok(Tensor::f_cat(&[encoded, Pooling::Mean.apply(&crossed, Some(&right.mask))?], 1)?)
    }

    /// Encodes queries `[n, len, size]`, which attend to `context`, of which `mask` marks the tokens, or to each other.
    fn encode(
        &self,
        layers: &[Layer],
        queries: &Tensor,
        context: Option<&Tensor>,
        mask: &Tensor,
        mode: Mode,
    ) -> Result<Tensor> {
        let mut x = queries.shallow_clone();
        for layer in layers {
            let input = if self.sizes.faithful { queries } else { &x };
            x = layer.forward(input, context.unwrap_or(input), mask, mode)?;
        }
        Ok(x)
    }

    /// Returns the sines and cosines of `len` positions, `[len, size]`.
    fn positions(&self, len: i64, device: Device) -> Result<Tensor> {
        let size = self.sizes.size;
        let options = (Kind::Double, device);
        let columns = Tensor::f_arange(size, options)?;
        // FaKnow's exponents go up to 2.
        let pairs = if self.sizes.faithful { columns } else { columns.f_div_scalar_mode(2, "floor")? };
        let rates = pairs.f_mul_scalar(-2.0 / size as f64 * BASE.ln())?.f_exp()?;
        let angles = Tensor::f_arange(len, options)?.f_outer(&rates)?;
        let is_even = Tensor::f_arange(size, options)?.f_remainder(2)?.f_eq(0)?;
        Ok(angles.f_sin()?.f_where_self(&is_even, &angles.f_cos()?)?)
    }
}

/// A layer of an encoder.
#[derive(Debug)]
struct Layer {
    /// Of queries, keys and values, `[n_heads * key_size, size]`.
    projections: [Tensor; 3],
    /// `[size, n_heads * key_size]`
    output: Tensor,
    attention: DotAttention,
    attention_norm: AddNorm,
    ffn: FeedForward,
    ffn_norm: AddNorm,
}

impl Layer {
    fn new(path: &Path<'_>, sizes: ContextualSizes, n_heads: i64) -> Result<Self> {
        let ContextualSizes { size, key_size, dropout, .. } = sizes;
        let attention = path / "attention";
        let weight = |name: &str, dims: [i64; 2]| kaiming_uniform(&(&attention / name), "weight", &dims);
        let input = [n_heads * key_size, size];
        let projections = [weight("W_q", input)?, weight("W_k", input)?, weight("W_v", input)?];
        Ok(Self {
            projections,
            output: weight("W_o", [size, n_heads * key_size])?,
            attention: DotAttention { n_heads, scale: (key_size as f64).powf(-0.5), dropout },
            attention_norm: AddNorm::new(&(path / "addnorm1"), size, dropout)?,
            ffn: FeedForward::new(&(path / "ffn"), [size, size, size], dropout)?.with_gelu(),
            ffn_norm: AddNorm::new(&(path / "addnorm2"), size, dropout)?,
        })
    }

    /// Maps queries `[n, n_queries, size]`, which attend to `context` `[n, n_keys, size]`, to the same shape.
    fn forward(&self, queries: &Tensor, context: &Tensor, mask: &Tensor, mode: Mode) -> Result<Tensor> {
        let [query, key, value] = &self.projections;
        let project = |x: &Tensor, weight: &Tensor| x.f_linear(weight, None::<&Tensor>);
        let inputs = [&project(queries, query)?, &project(context, key)?, &project(context, value)?];
        let attended = project(&self.attention.forward(inputs, Some(mask), mode)?, &self.output)?;
        let x = self.attention_norm.forward(queries, &attended, mode)?;
        self.ffn_norm.forward(&x, &self.ffn.forward(&x, mode)?, mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;

    #[test]
    fn positions_are_those_of_transformers() {
        let vars = VarStore::new(Device::Cpu);
        let sizes = ContextualSizes {
            size: 4,
            n_layers: [1, 1],
            n_heads: [1, 1],
            key_size: 4,
            dropout: 0.0,
            faithful: false,
        };
        let layer = ContextualTransformer::new(&vars.root(), sizes).unwrap();
        let positions = layer.positions(3, Device::Cpu).unwrap();
        let expected = [2f64.sin(), 2f64.cos(), 0.02f64.sin(), 0.02f64.cos()];
        let difference = (positions.get(2) - Tensor::from_slice(&expected)).abs().max();
        assert!(difference.double_value(&[]) < 1e-12, "{positions:?}");
    }
}
