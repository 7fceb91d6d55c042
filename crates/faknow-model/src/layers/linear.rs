//! A fully connected layer: y = x Wᵀ + b.

use tch::Tensor;
use tch::nn::Path;

use crate::Result;
use crate::layers::{bias_uniform, kaiming_uniform};

/// PyTorch's `nn.Linear`: `weight` `[n_out, n_in]`, `bias` `[n_out]`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// A layer with PyTorch's initialisation.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let weight = kaiming_uniform(path, "weight", &[n_out, n_in])?;
        let bias = bias_uniform(path, n_out, n_in)?;
        Ok(Self { weight, bias })
    }

    /// The kind of its values.
    pub(crate) fn kind(&self) -> tch::Kind {
        self.weight.kind()
    }

    /// `[.., n_in]` to `[.., n_out]`.
    ///
    /// # Errors
    /// The last dimension is not `n_in`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}
