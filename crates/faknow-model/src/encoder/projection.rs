//! The linear layers of an encoder.

use tch::nn::Init;
use tch::{Kind, Tensor};

use super::lora::{Adapter, LoraTarget};
use super::params::Params;
use super::precision::Precision;
use crate::{Mode, Result};

/// The number of rows of a product in bfloat16 is a multiple of the second if it is at least the first: libtorch generates code
/// for each size and retains it, which takes gigabytes if every batch has another number of tokens.
const ROWS: [(i64, i64); 2] = [(256, 64), (0, 16)];

/// A linear layer: `weight` `[n_out, n_in]` and, unless it has none, `bias` `[n_out]`.
#[derive(Debug)]
pub(super) struct Projection {
    weight: Tensor,
    bias: Option<Tensor>,
    adapter: Option<Adapter>,
    precision: Precision,
}

/// The kind of a linear layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinearKind {
    /// Number of inputs and outputs.
    pub sizes: [i64; 2],
    /// Standard deviation of the initial weights; initial biases are 0.
    pub std: f64,
    pub has_bias: bool,
    /// The target of adapters, if the layer is one.
    pub target: Option<LoraTarget>,
}

impl Projection {
    pub(super) fn new(params: &Params<'_, '_>, kind: LinearKind) -> Result<Self> {
        let LinearKind { sizes: [n_in, n_out], std, has_bias, target } = kind;
        let weight = params.tensor("weight", &[n_out, n_in], Init::Randn { mean: 0.0, stdev: std })?;
        let bias = if has_bias { Some(params.tensor("bias", &[n_out], Init::Const(0.0))?) } else { None };
        let adapter = params.adapter(target, [n_in, n_out])?;
        Ok(Self { weight, bias, adapter, precision: params.precision })
    }

    /// Maps `[.., n_in]` to `[.., n_out]`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        single(&self.factored(x, mode)?)
    }

    /// Maps `[.., n_in]` to `[.., n_out]`, in the kind of the factors of the product.
    pub(super) fn factored(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let output = product(&self.factor(x)?, &self.weight, self.bias.as_ref())?;
        self.adapted(output, x, mode)
    }

    /// Maps `[.., n_in]` to the outputs `[.., n_out]` of several layers of the same sizes, all with or all without a bias,
    /// as one product.
    pub(super) fn forward_all(layers: &[&Self], x: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        let [first, ..] = layers else { return Ok(Vec::new()) };
        let weights: Vec<&Tensor> = layers.iter().map(|layer| &layer.weight).collect();
        let biases: Vec<&Tensor> = layers.iter().filter_map(|layer| layer.bias.as_ref()).collect();
        let bias = (!biases.is_empty()).then(|| Tensor::f_cat(&biases, 0)).transpose()?;
        let outputs = single(&product(&first.factor(x)?, &Tensor::f_cat(&weights, 0)?, bias.as_ref())?)?;
        let outputs = outputs.f_chunk(layers.len() as i64, -1)?;
        layers.iter().zip(outputs).map(|(layer, output)| layer.adapted(output, x, mode)).collect()
    }

    /// Returns a factor of a product in this precision.
    fn factor(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match (self.precision, x.kind()) {
            (Precision::Bf16, Kind::Float) => x.f_to_kind(Kind::BFloat16)?,
            _ => x.shallow_clone(),
        })
    }

    fn adapted(&self, output: Tensor, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match &self.adapter {
            Some(adapter) => adapter.add(&single(&output)?, &single(x)?, mode),
            None => Ok(output),
        }
    }
}

/// Returns `x weight^T + bias` in the kind of `x`; in bfloat16, only for rows `[n, n_in]` or `[.., n, n_in]`.
fn product(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let kind = x.kind();
    let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
    let weight = weight.f_to_kind(kind)?;
    if kind != Kind::BFloat16 {
        return Ok(x.f_linear(&weight, bias)?);
    }
    let n_rows = x.size().iter().rev().nth(1).copied().unwrap_or(1);
    let multiple = ROWS.iter().find(|(min, _)| n_rows >= *min).map_or(1, |(_, multiple)| *multiple);
    let padding = (-n_rows).rem_euclid(multiple);
    Ok(x.f_constant_pad_nd([0, 0, 0, padding])?.f_linear(&weight, bias)?.f_narrow(-2, 0, n_rows)?)
}

/// Returns a tensor in single precision if it is in bfloat16.
fn single(tensor: &Tensor) -> Result<Tensor> {
    Ok(match tensor.kind() {
        Kind::BFloat16 => tensor.f_to_kind(Kind::Float)?,
        _ => tensor.shallow_clone(),
    })
}
