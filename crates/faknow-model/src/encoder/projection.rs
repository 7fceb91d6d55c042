//! The linear layers of an encoder.

use tch::Tensor;
use tch::nn::Init;

use super::params::Params;
use crate::Result;

/// A linear layer: `weight` `[n_out, n_in]` and, unless it has none, `bias` `[n_out]`.
#[derive(Debug)]
pub(super) struct Projection {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Projection {
    /// Creates a layer whose initial weights are normal with standard deviation `std`; initial biases are 0.
    pub(super) fn new(
        params: &Params<'_, '_>,
        [n_in, n_out]: [i64; 2],
        std: f64,
        has_bias: bool,
    ) -> Result<Self> {
        let weight = params.tensor("weight", &[n_out, n_in], Init::Randn { mean: 0.0, stdev: std })?;
        let bias = if has_bias { Some(params.tensor("bias", &[n_out], Init::Const(0.0))?) } else { None };
        Ok(Self { weight, bias })
    }

    /// Maps `[.., n_in]` to `[.., n_out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, self.bias.as_ref())?)
    }
}
