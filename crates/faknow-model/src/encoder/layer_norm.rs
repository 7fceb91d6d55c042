//! Layer normalization: Ba, Kiros and Hinton, *Layer Normalization*, 2016.

use tch::Tensor;
use tch::nn::Init;

use super::params::Params;
use crate::Result;

/// Layer normalization over the last dimension: `weight` and, unless it has none, `bias`, both `[size]`.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Option<Tensor>,
    eps: f64,
}

impl LayerNorm {
    pub(super) fn new(params: &Params<'_, '_>, size: i64, eps: f64, has_bias: bool) -> Result<Self> {
        let weight = params.tensor("weight", &[size], Init::Const(1.0))?;
        let bias = if has_bias { Some(params.tensor("bias", &[size], Init::Const(0.0))?) } else { None };
        Ok(Self { weight, bias, eps })
    }

    /// Normalizes each row of `x`, `[.., size]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_layer_norm(self.weight.size(), Some(&self.weight), self.bias.as_ref(), self.eps, true)?)
    }
}
