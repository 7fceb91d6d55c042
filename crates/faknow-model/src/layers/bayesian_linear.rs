//! A fully connected layer whose weights are drawn from a distribution that learns.
//!
//! Blundell et al., *Weight Uncertainty in Neural Networks*, ICML 2015: each weight is normal, and independent of the others.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::{Mode, Result};

/// The log variance that all weights begin with.
const FIRST_LOG_VARIANCE: f64 = -10.0;

/// A linear layer of `weights_mean`, `weights_log_var` `[n_out, n_in]` and `bias_mean`, `bias_log_var` `[n_out]`.
#[derive(Debug)]
pub struct BayesianLinear {
    weight: Normal,
    bias: Normal,
}

/// Independent normal distributions.
#[derive(Debug)]
struct Normal {
    mean: Tensor,
    log_variance: Tensor,
}

/// Noise of all parameters of a layer: what is drawn, or what moves them.
#[derive(Debug)]
pub(crate) struct Noise {
    weight: Tensor,
    bias: Tensor,
}

/// How far the means and the log variances of a layer are moved.
#[derive(Debug)]
pub(crate) struct Shift {
    means: Noise,
    log_variances: Noise,
}

/// A layer as it was drawn.
#[derive(Debug)]
pub struct SampledLinear {
    /// `[n_out, n_in]`.
    pub weight: Tensor,
    /// `[n_out]`.
    pub bias: Tensor,
}

impl BayesianLinear {
    /// Creates a layer whose means are uniform in ±√(6 / n_in) (He et al., ICCV 2015), of biases 0, with a variance of e⁻¹⁰.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let bound = (6.0 / n_in.max(1) as f64).sqrt();
        let normal = |name: &str, dims: &[i64], mean| -> Result<Normal> {
            let constant = Init::Const(FIRST_LOG_VARIANCE);
            Ok(Normal {
                mean: path.f_var(&format!("{name}_mean"), dims, mean)?,
                log_variance: path.f_var(&format!("{name}_log_var"), dims, constant)?,
            })
        };
        Ok(Self {
            weight: normal("weights", &[n_out, n_in], Init::Uniform { lo: -bound, up: bound })?,
            bias: normal("bias", &[n_out], Init::Const(0.0))?,
        })
    }

    /// Returns the layer as it is drawn in training, or with its means.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn sample(&self, mode: Mode) -> Result<SampledLinear> {
        let noise = if mode.is_train() { Some(self.noise()?) } else { None };
        self.drawn(noise.as_ref(), None)
    }

    /// Standard normal noise for each parameter.
    pub(crate) fn noise(&self) -> Result<Noise> {
        Ok(Noise { weight: self.weight.mean.f_randn_like()?, bias: self.bias.mean.f_randn_like()? })
    }

    /// Noise that moves each of the four parameters by this norm.
    pub(crate) fn shift(&self, norm: f64) -> Result<Shift> {
        let scaled = |tensor: Tensor| -> Result<Tensor> {
            let length = tensor.f_norm()?;
            Ok(tensor.f_mul(&length.f_reciprocal()?.f_mul_scalar(norm)?)?)
        };
        let noise = || -> Result<Noise> {
            let Noise { weight, bias } = self.noise()?;
            Ok(Noise { weight: scaled(weight)?, bias: scaled(bias)? })
        };
        Ok(Shift { means: noise()?, log_variances: noise()? })
    }

    /// The layer that noise draws, with its means if there is none, of parameters that are moved first.
    pub(crate) fn drawn(&self, noise: Option<&Noise>, shift: Option<&Shift>) -> Result<SampledLinear> {
        let draw = |normal: &Normal, of: fn(&Noise) -> &Tensor| -> Result<Tensor> {
            let moved = |parameter: &Tensor, by: Option<&Noise>| match by {
                Some(by) => parameter.f_add(of(by)),
                None => Ok(parameter.shallow_clone()),
            };
            let mean = moved(&normal.mean, shift.map(|shift| &shift.means))?;
            let Some(noise) = noise else { return Ok(mean) };
            let log_variance = moved(&normal.log_variance, shift.map(|shift| &shift.log_variances))?;
            let deviation = log_variance.f_mul_scalar(0.5)?.f_exp()?;
            Ok(mean.f_add(&deviation.f_mul(of(noise))?)?)
        };
        Ok(SampledLinear { weight: draw(&self.weight, |n| &n.weight)?, bias: draw(&self.bias, |n| &n.bias)? })
    }
}

impl SampledLinear {
    /// Maps `[.., n_in]` to `[.., n_out]`.
    ///
    /// # Errors
    /// The last dimension is not `n_in`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}
