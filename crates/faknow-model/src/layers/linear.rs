//! A linear layer: y = x Wᵀ + b.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::Result;
use crate::layers::{bias_uniform, glorot, kaiming_uniform};

/// PyTorch's `nn.Linear`: `weight` `[n_out, n_in]`, `bias` `[n_out]`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Creates a layer with PyTorch's initialization.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let weight = kaiming_uniform(path, "weight", &[n_out, n_in])?;
        let bias = bias_uniform(path, n_out, n_in)?;
        Ok(Self { weight, bias })
    }

    /// Creates a layer with Glorot initialization and bias 0.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn glorot(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        Ok(Self {
            weight: glorot(path, "weight", &[n_out, n_in])?,
            bias: path.f_var("bias", &[n_out], Init::Const(0.0))?,
        })
    }

    /// Creates a layer from a weight `[n_out, n_in]` and a bias `[n_out]`.
    pub(crate) fn from_tensors(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias }
    }

    /// Creates a layer with normal weights of mean 0 and standard deviation `std`, and biases `bias`.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn normal(path: &Path<'_>, n_in: i64, n_out: i64, std: f64, bias: f64) -> Result<Self> {
        Ok(Self {
            weight: path.f_var("weight", &[n_out, n_in], Init::Randn { mean: 0.0, stdev: std })?,
            bias: path.f_var("bias", &[n_out], Init::Const(bias))?,
        })
    }

    /// Excludes the layer from training.
    #[must_use]
    pub fn freeze(self) -> Self {
        let freeze = |tensor: Tensor| tensor.set_requires_grad(false);
        Self { weight: freeze(self.weight), bias: freeze(self.bias) }
    }

    /// Returns the kind (dtype) of the weight.
    pub(crate) fn kind(&self) -> tch::Kind {
        self.weight.kind()
    }

    /// Maps `[.., n_in]` to `[.., n_out]`.
    ///
    /// # Errors
    /// The last dimension is not `n_in`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}
