//! The linear layers of an encoder.

use tch::nn::Init;
use tch::{Kind, Tensor};

use super::lora::{Adapter, LoraTarget};
use super::params::Params;
use super::precision::Precision;
use crate::{Mode, Result};

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
        let output = match (self.precision, x.kind()) {
            (Precision::Bf16, Kind::Float) => {
                let half = |tensor: &Tensor| tensor.f_to_kind(Kind::BFloat16);
                let bias = self.bias.as_ref().map(half).transpose()?;
                half(x)?.f_linear(&half(&self.weight)?, bias)?.f_to_kind(Kind::Float)?
            }
            _ => x.f_linear(&self.weight, self.bias.as_ref())?,
        };
        match &self.adapter {
            Some(adapter) => adapter.add(&output, x, mode),
            None => Ok(output),
        }
    }
}
