//! Optimizers behind one interface: gradients are clipped and measured in every step, whoever takes it.

mod clip;
mod config;

pub use clip::Clip;
pub use config::{Adam, AdamW, OptimizerConfig, RmsProp, Sgd};

use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};

use crate::{Error, Result};

/// Updates the trainable variables of a store from their gradients.
#[derive(Debug)]
pub struct Optimizer {
    inner: tch::nn::Optimizer,
    parameters: Vec<(String, Tensor)>,
    base_learning_rates: Vec<f64>,
    learning_rates: Vec<f64>,
    clip: Clip,
    grad_norm: Option<Tensor>,
}

impl Optimizer {
    /// An optimizer over all trainable variables of `vars`.
    ///
    /// # Errors
    /// A setting is outside its range.
    pub fn new(config: &OptimizerConfig, vars: &VarStore, clip: Clip) -> Result<Self> {
        clip.validate()?;
        let inner = config.build(vars)?;
        // The store is a hash map: sorted names make the order of all sums the same in every process.
        let mut parameters: Vec<_> =
            vars.variables().into_iter().filter(|(_, t)| t.requires_grad()).collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        let rates = vec![config.lr()];
        Ok(Self {
            inner,
            parameters,
            base_learning_rates: rates.clone(),
            learning_rates: rates,
            clip,
            grad_norm: None,
        })
    }

    /// The learning rate of each parameter group as configured: what schedules start from.
    pub fn base_learning_rates(&self) -> &[f64] {
        &self.base_learning_rates
    }

    /// The learning rate of each parameter group, now in force.
    pub fn learning_rates(&self) -> &[f64] {
        &self.learning_rates
    }

    /// Sets the learning rate of each parameter group; those that do not change cost nothing.
    pub fn set_learning_rates(&mut self, rates: &[f64]) {
        for (group, (old, new)) in self.learning_rates.iter_mut().zip(rates).enumerate() {
            if old != new {
                self.inner.set_lr_group(group, *new);
                *old = *new;
            }
        }
    }

    /// The trained parameters by name, in the order of their names.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Drops all gradients.
    pub fn zero_grad(&mut self) {
        self.inner.zero_grad();
    }

    /// Measures and clips the gradients, then updates the parameters.
    ///
    /// # Errors
    /// libtorch refuses an operation; [`Error::NonFiniteGradient`] where reading the norm does not wait for a device.
    pub fn step(&mut self) -> Result<()> {
        self.grad_norm = no_grad(|| self.measure_and_clip())?;
        self.check_gradients()?;
        self.inner.step();
        Ok(())
    }

    /// The whole update from a loss: drop the old gradients, go backward, measure, clip, step.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; the loss has no gradient.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
        self.zero_grad();
        loss.f_backward()?;
        self.step()
    }

    /// Global norm of the gradients in the last step, before clipping: a scalar on the device.
    pub fn grad_norm(&self) -> Option<&Tensor> {
        self.grad_norm.as_ref()
    }

    /// The learning rate that errors tell of.
    pub(crate) fn first_learning_rate(&self) -> f64 {
        self.learning_rates.first().copied().unwrap_or(f64::NAN)
    }

    /// Refuses gradients that would make the weights NaN for good.
    fn check_gradients(&self) -> Result<()> {
        let Some(norm) = self.grad_norm.as_ref().filter(|norm| norm.device() == Device::Cpu) else {
            return Ok(());
        };
        let norm = norm.f_double_value(&[])?;
        // Clipping by value makes infinite gradients finite.
        if norm.is_finite() || (norm.is_infinite() && matches!(self.clip, Clip::Value(_))) {
            return Ok(());
        }
        Err(Error::NonFiniteGradient { place: None, norm, learning_rate: self.first_learning_rate() })
    }

    fn measure_and_clip(&self) -> Result<Option<Tensor>> {
        let mut gradients: Vec<Tensor> =
            self.parameters.iter().map(|(_, p)| p.grad()).filter(Tensor::defined).collect();
        if gradients.is_empty() {
            return Ok(None);
        }
        let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
        let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
        match self.clip {
            Clip::None => {}
            Clip::Norm(max) if norm.device() == Device::Cpu => {
                // PyTorch's formula. A NaN norm compares as false and leaves the gradients as they are.
                let factor = max / (norm.f_double_value(&[])? + 1e-6);
                if factor < 1.0 {
                    gradients.iter_mut().try_for_each(|g| g.f_mul_scalar_(factor).map(drop))?;
                }
            }
            Clip::Norm(max) => {
                // On a device, comparing would wait for it: multiply by min(1, factor) instead.
                let factor = ((&norm + 1e-6).f_reciprocal()? * max).f_clamp_max(1.0)?;
                gradients.iter_mut().try_for_each(|g| g.f_mul_(&factor).map(drop))?;
            }
            Clip::Value(max) => gradients.iter_mut().try_for_each(|g| g.f_clamp_(-max, max).map(drop))?,
        }
        Ok(Some(norm))
    }
}
