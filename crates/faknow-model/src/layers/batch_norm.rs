//! Batch normalization over rows.
//!
//! Ioffe and Szegedy, *Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift*, ICML
//! 2015.

use std::cell::RefCell;
use std::collections::HashMap;

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::{Mode, Result};

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// PyTorch's `nn.BatchNorm1d`: learnable `weight` (initially 1) and `bias` (0); `running_mean` (0) and `running_var` (1),
/// updated in training with momentum 0.1, or as [`with_cumulative_statistics`] says.
///
/// A single row has no variance. PyTorch rejects it in training, so that an epoch fails if its last batch happens to have one
/// sample. This layer normalizes a single row by the running statistics, as in evaluation, and does not update them.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    eps: f64,
    momentum: f64,
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
            eps: EPS,
            momentum: MOMENTUM,
        })
    }

    /// Creates a layer from weight and bias, running mean and running variance, with other constants than PyTorch's defaults.
    pub(crate) fn from_tensors(
        [weight, bias]: [Tensor; 2],
        [mean, variance]: [Tensor; 2],
        eps: f64,
        momentum: f64,
    ) -> Self {
        Self { weight, bias, mean, variance, eps, momentum }
    }

    /// Returns the factor of each feature in evaluation, and what is added to the product.
    pub(crate) fn scale_and_shift(&self) -> Result<(Tensor, Tensor)> {
        let scale = self.weight.f_mul(&self.variance.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        let shift = self.bias.f_sub(&self.mean.f_mul(&scale)?)?;
        Ok((scale, shift))
    }

    /// Normalizes `x` `[n_rows, k]`, the columns from `start` on of rows with `n` features. `counts` `[n_rows]` is the
    /// multiplicity of each row. Default: 1.
    ///
    /// # Errors
    /// There are fewer columns.
    pub fn forward_columns(
        &self,
        x: &Tensor,
        start: i64,
        counts: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let columns = |tensor: &Tensor| tensor.f_narrow(0, start, x.size()[1]);
        let (running_mean, running_variance) = (columns(&self.mean)?, columns(&self.variance)?);
        let statistics = if mode.is_train() { batch_statistics(x, counts)? } else { None };
        let (mean, variance) = match statistics {
            Some(Statistics { mean, variance, n }) => {
                let momentum = momentum(&running_mean, self.momentum);
                tch::no_grad(|| -> Result<()> {
                    let unbiased = variance.f_mul(&n)?.f_div(&n.f_sub_scalar(1.0)?)?;
                    for (running, new) in [(&running_mean, &mean), (&running_variance, &unbiased)] {
                        let updated =
                            running.f_mul_scalar(1.0 - momentum)?.f_add(&new.f_mul_scalar(momentum)?)?;
                        running.shallow_clone().f_copy_(&updated)?;
                    }
                    Ok(())
                })?;
                (mean, variance)
            }
            None => (running_mean, running_variance),
        };
        let scale = columns(&self.weight)?.f_mul(&variance.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        Ok(x.f_sub(&mean)?.f_mul(&scale)?.f_add(&columns(&self.bias)?)?)
    }

    /// Normalizes rows `[n_rows, n]` (or `[n_rows, n, len]`), in training by the statistics of the batch, else (and if there
    /// is only one value per feature) by the running statistics.
    ///
    /// # Errors
    /// The rows do not have `n` features.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let n_values = x.size().iter().product::<i64>() / x.size().get(1).copied().unwrap_or(1).max(1);
        let is_train = mode.is_train() && n_values > 1;
        let momentum = if is_train { momentum(&self.mean, self.momentum) } else { self.momentum };
        Ok(x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.mean),
            Some(&self.variance),
            is_train,
            momentum,
            self.eps,
            false,
        )?)
    }
}

/// Mean and biased variance of each feature over the rows of a batch.
struct Statistics {
    mean: Tensor,
    variance: Tensor,
    /// Number of rows, a scalar.
    n: Tensor,
}

/// Returns the statistics of rows `[n_rows, k]` with these multiplicities; `None` for a single row of multiplicity 1.
fn batch_statistics(x: &Tensor, counts: Option<&Tensor>) -> Result<Option<Statistics>> {
    let weights = match counts {
        Some(counts) => counts.f_to_kind(x.kind())?.f_unsqueeze(1)?,
        None => Tensor::f_ones([x.size()[0], 1], (x.kind(), x.device()))?,
    };
    let n = weights.f_sum(x.kind())?;
    // The count is read, which waits for a device, only where it matters.
    if x.size()[0] == 1 && n.f_double_value(&[])? <= 1.0 {
        return Ok(None);
    }
    let mean_of = |values: &Tensor| -> Result<Tensor> {
        let sum = values.f_mul(&weights)?.f_sum_dim_intlist([0].as_slice(), false, x.kind())?;
        Ok(sum.f_div(&n)?)
    };
    let mean = mean_of(x)?;
    let variance = mean_of(&x.f_sub(&mean)?.f_square()?)?;
    Ok(Some(Statistics { mean, variance, n }))
}

thread_local! {
    /// Number of batches of the current pass that have updated these running statistics, by address.
    static N_UPDATES: RefCell<Option<HashMap<usize, u64>>> = const { RefCell::new(None) };
}

/// Returns the weight of the current batch in the running statistics, `momentum` outside of [`with_cumulative_statistics`].
fn momentum(running_mean: &Tensor, momentum: f64) -> f64 {
    N_UPDATES.with_borrow_mut(|pass| {
        let Some(pass) = pass else { return momentum };
        let n = pass.entry(running_mean.data_ptr() as usize).or_default();
        *n += 1;
        1.0 / *n as f64
    })
}

/// Runs a pass over data in which each [`BatchNorm`] replaces its running statistics by their mean over the batches, instead
/// of the moving average with momentum 0.1.
///
/// PyTorch's `torch.optim.swa_utils.update_bn`: averaged weights need separate statistics. Run the batches in
/// [`Mode::Train`] and without gradients. Statistics of a layer that sees no batch of at least two rows stay unchanged.
///
/// ```
/// use faknow_model::Mode;
/// use faknow_model::layers::{BatchNorm, with_cumulative_statistics};
/// use tch::{Device, Tensor, nn, no_grad};
///
/// let vars = nn::VarStore::new(Device::Cpu);
/// let norm = BatchNorm::new(&vars.root(), 1)?;
/// let batches = [[1.0f32, 3.0], [5.0, 7.0]].map(|rows| Tensor::from_slice(&rows).view([2, 1]));
/// with_cumulative_statistics(|| batches.iter().try_for_each(|x| no_grad(|| norm.forward(x, Mode::Train)).map(drop)))?;
/// assert_eq!(vars.variables()["running_mean"].double_value(&[0]), 4.0);
/// # Ok::<(), faknow_model::Error>(())
/// ```
pub fn with_cumulative_statistics<T>(pass: impl FnOnce() -> T) -> T {
    /// Restores the previous state, even if `pass` panics.
    struct Restore(Option<HashMap<usize, u64>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            N_UPDATES.set(self.0.take());
        }
    }
    let _restore = Restore(N_UPDATES.replace(Some(HashMap::new())));
    pass()
}
