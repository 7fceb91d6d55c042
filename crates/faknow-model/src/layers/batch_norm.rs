//! Batch normalization over rows.
//!
//! Ioffe and Szegedy, *Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift*, ICML
//! 2015.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::{Error, Mode, Result};

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// PyTorch's `nn.BatchNorm1d`: learnable `weight` (initially 1) and `bias` (0); `running_mean` (0) and `running_var` (1),
/// updated in training with momentum 0.1.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl BatchNorm {
    /// Creates a layer for rows of `n` features.
    ///
    /// # Errors
    /// libtorch rejects the size.
    pub fn new(path: &Path<'_>, n: i64) -> Result<Self> {
        // `zeros_no_train` of tch creates f32 for any kind of store.
        let options = (path.kind(), path.device());
        Ok(Self {
            weight: path.f_var("weight", &[n], Init::Const(1.0))?,
            bias: path.f_var("bias", &[n], Init::Const(0.0))?,
            mean: path.add("running_mean", Tensor::f_zeros([n], options)?, false),
            variance: path.add("running_var", Tensor::f_ones([n], options)?, false),
        })
    }

    /// Normalizes `x` `[n_rows, k]`, the columns from `start` on of rows with `n` features. `counts` `[n_rows]` is the
    /// multiplicity of each row. Default: 1.
    ///
    /// # Errors
    /// There are fewer columns, or in training there is a single row of multiplicity 1.
    pub fn forward_columns(
        &self,
        x: &Tensor,
        start: i64,
        counts: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let columns = |tensor: &Tensor| tensor.f_narrow(0, start, x.size()[1]);
        let (running_mean, running_variance) = (columns(&self.mean)?, columns(&self.variance)?);
        let (mean, variance) = if mode.is_train() {
            let weights = match counts {
                Some(counts) => counts.f_to_kind(x.kind())?.f_unsqueeze(1)?,
                None => Tensor::f_ones([x.size()[0], 1], (x.kind(), x.device()))?,
            };
            let n = weights.f_sum(x.kind())?;
            // Only for a single row does the count matter.
            let n_rows = if x.size()[0] == 1 { n.f_double_value(&[])? as i64 } else { x.size()[0] };
            check_rows(n_rows, mode)?;
            let mean_of = |values: &Tensor| -> Result<Tensor> {
                let sum = values.f_mul(&weights)?.f_sum_dim_intlist([0].as_slice(), false, x.kind())?;
                Ok(sum.f_div(&n)?)
            };
            let mean = mean_of(x)?;
            let variance = mean_of(&x.f_sub(&mean)?.f_square()?)?;
            tch::no_grad(|| -> Result<()> {
                let unbiased = variance.f_mul(&n)?.f_div(&n.f_sub_scalar(1.0)?)?;
                for (running, new) in [(&running_mean, &mean), (&running_variance, &unbiased)] {
                    let updated =
                        running.f_mul_scalar(1.0 - MOMENTUM)?.f_add(&new.f_mul_scalar(MOMENTUM)?)?;
                    running.shallow_clone().f_copy_(&updated)?;
                }
                Ok(())
            })?;
            (mean, variance)
        } else {
            (running_mean, running_variance)
        };
        let scale = columns(&self.weight)?.f_mul(&variance.f_add_scalar(EPS)?.f_rsqrt()?)?;
        Ok(x.f_sub(&mean)?.f_mul(&scale)?.f_add(&columns(&self.bias)?)?)
    }

    /// Normalizes rows `[n_rows, n]` (or `[n_rows, n, len]`), in training by the statistics of the batch, else by the running
    /// statistics.
    ///
    /// # Errors
    /// The rows do not have `n` features, or in training there is only one row.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let n_values = x.size().iter().product::<i64>() / x.size().get(1).copied().unwrap_or(1).max(1);
        check_rows(n_values, mode)?;
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

/// Rejects a single row in training: it has no variance and would make the running variance NaN.
fn check_rows(n_rows: i64, mode: Mode) -> Result<()> {
    if mode.is_train() && n_rows < 2 {
        return Err(Error::Batch {
            model: "BatchNorm",
            expected:
                "at least 2 rows in training (a single row has no variance; set `drop_last` of the loader to \
                       drop a last batch of one sample)"
                    .to_owned(),
            got: n_rows.to_string(),
        });
    }
    Ok(())
}
