//! A Bayesian linear layer: its weights are sampled from a learned distribution.
//!
//! Blundell et al., *Weight Uncertainty in Neural Networks*, ICML 2015, with independent normal weights.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::{Mode, Result};

/// Initial log variance of all weights.
const INITIAL_LOG_VARIANCE: f64 = -10.0;

/// A Bayesian linear layer with the parameters `weights_mean`, `weights_log_var` `[n_out, n_in]` and `bias_mean`, `bias_log_var` `[n_out]`.
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

/// A tensor per parameter of a layer, in its shape.
#[derive(Debug)]
pub(crate) struct Noise {
    weight: Tensor,
    bias: Tensor,
}

/// A perturbation of the means and the log variances of a layer.
#[derive(Debug)]
pub(crate) struct Perturbation {
    means: Noise,
    log_variances: Noise,
}

/// A linear layer with sampled weights.
#[derive(Debug)]
pub struct SampledLinear {
    /// The weight, `[n_out, n_in]`.
    pub weight: Tensor,
    /// The bias, `[n_out]`.
    pub bias: Tensor,
}

impl BayesianLinear {
    /// Creates a layer with weight means uniform in ±√(6 / n_in) (He et al., ICCV 2015), bias means 0, and variances e⁻¹⁰.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let bound = (6.0 / n_in.max(1) as f64).sqrt();
        let normal = |name: &str, dims: &[i64], mean| -> Result<Normal> {
            let constant = Init::Const(INITIAL_LOG_VARIANCE);
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

    /// Samples the weights in training; returns their means in evaluation.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn sample(&self, mode: Mode) -> Result<SampledLinear> {
        let noise = if mode.is_train() { Some(self.noise()?) } else { None };
        self.sample_with(noise.as_ref(), None)
    }

    /// Samples standard normal noise for each parameter.
    pub(crate) fn noise(&self) -> Result<Noise> {
        Ok(Noise { weight: self.weight.mean.f_randn_like()?, bias: self.bias.mean.f_randn_like()? })
    }

    /// Samples a perturbation of this norm for each of the four parameters.
    pub(crate) fn perturbation(&self, norm: f64) -> Result<Perturbation> {
        let scaled = |tensor: Tensor| -> Result<Tensor> {
            let norm_of_noise = tensor.f_norm()?;
            Ok(tensor.f_mul(&norm_of_noise.f_reciprocal()?.f_mul_scalar(norm)?)?)
        };
        let noise = || -> Result<Noise> {
            let Noise { weight, bias } = self.noise()?;
            Ok(Noise { weight: scaled(weight)?, bias: scaled(bias)? })
        };
        Ok(Perturbation { means: noise()?, log_variances: noise()? })
    }

    /// Perturbs the parameters, then samples the weights with `noise`; without noise returns their means.
    pub(crate) fn sample_with(
        &self,
        noise: Option<&Noise>,
        perturbation: Option<&Perturbation>,
    ) -> Result<SampledLinear> {
        let sample = |normal: &Normal, part: fn(&Noise) -> &Tensor| -> Result<Tensor> {
            let perturb = |parameter: &Tensor, noise: Option<&Noise>| match noise {
                Some(noise) => parameter.f_add(part(noise)),
                None => Ok(parameter.shallow_clone()),
            };
            let mean = perturb(&normal.mean, perturbation.map(|it| &it.means))?;
            let Some(noise) = noise else { return Ok(mean) };
            let log_variance = perturb(&normal.log_variance, perturbation.map(|it| &it.log_variances))?;
            let std = log_variance.f_mul_scalar(0.5)?.f_exp()?;
            Ok(mean.f_add(&std.f_mul(part(noise))?)?)
        };
        Ok(SampledLinear {
            weight: sample(&self.weight, |n| &n.weight)?,
            bias: sample(&self.bias, |n| &n.bias)?,
        })
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
