//! Batch normalisation over rows.
//!
//! Ioffe and Szegedy, *Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift*, ICML
//! 2015.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::{Mode, Result};

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// PyTorch's `nn.BatchNorm1d`: `weight` 1 and `bias` 0, which learn; `running_mean` 0 and `running_var` 1, which training
/// moves a tenth of the way to the batch's.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl BatchNorm {
    /// A layer for rows of `n` features.
    ///
    /// # Errors
    /// libtorch refuses the size.
    pub fn new(path: &Path<'_>, n: i64) -> Result<Self> {
        // tch's own `zeros_no_train` makes f32, whatever the store's kind.
        let options = (path.kind(), path.device());
        Ok(Self {
            weight: path.f_var("weight", &[n], Init::Const(1.0))?,
            bias: path.f_var("bias", &[n], Init::Const(0.0))?,
            mean: path.add("running_mean", Tensor::f_zeros([n], options)?, false),
            variance: path.add("running_var", Tensor::f_ones([n], options)?, false),
        })
    }

    /// Rows `[n_rows, n]`, normalised by the batch in training and by what training has seen otherwise.
    ///
    /// # Errors
    /// The rows have another width, or in training there is but one.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        Ok(x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.mean),
            Some(&self.variance),
            mode.is_train(),
            MOMENTUM,
            EPS,
            false,
        )?)
    }
}
