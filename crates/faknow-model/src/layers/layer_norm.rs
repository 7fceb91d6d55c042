//! Layer normalization: Ba, Kiros and Hinton, *Layer Normalization*, 2016.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::dropout;
use crate::{Mode, Result};

const EPS: f64 = 1e-5;

/// PyTorch's `nn.LayerNorm` over the last dimension: `weight` (initially 1) and `bias` (0), both `[size]`.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    /// Creates a layer for rows of `size` values.
    ///
    /// # Errors
    /// libtorch rejects the size.
    pub fn new(path: &Path<'_>, size: i64) -> Result<Self> {
        Ok(Self {
            weight: path.f_var("weight", &[size], Init::Const(1.0))?,
            bias: path.f_var("bias", &[size], Init::Const(0.0))?,
        })
    }

    /// Normalizes each row of `x` `[.., size]`.
    ///
    /// # Errors
    /// The rows do not have `size` values.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), EPS, true)?)
    }
}

/// A residual connection around a layer, followed by layer normalization.
///
/// Parameters: `ln.weight`, `ln.bias`.
#[derive(Debug)]
pub struct AddNorm {
    norm: LayerNorm,
    dropout: f64,
}

impl AddNorm {
    /// Creates a layer for rows of `size` values; `dropout` is the probability, from 0 to below 1, of that of the inner layer's
    /// output.
    ///
    /// # Errors
    /// libtorch rejects the size.
    pub fn new(path: &Path<'_>, size: i64, dropout: f64) -> Result<Self> {
        Ok(Self { norm: LayerNorm::new(&(path / "ln"), size)?, dropout })
    }

    /// Returns the normalized sum of the input `x` and the output `y` of a layer, both `[.., size]`.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, x: &Tensor, y: &Tensor, mode: Mode) -> Result<Tensor> {
        self.norm.forward(&x.f_add(&dropout(y, self.dropout, mode)?)?)
    }
}
