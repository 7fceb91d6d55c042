//! Gradients moved out of the parameters, for steps with several backward passes before an update.

use tch::{Tensor, no_grad, with_grad};

use super::Optimizer;
use super::parameter::Parameter;
use crate::Result;
use crate::error::setting;

/// Gradients moved out of the parameters of an optimizer, see [`Optimizer::take_gradients`].
#[derive(Debug, Default)]
pub struct Gradients {
    /// In the order of the parameters; `None` for parameters without a gradient. May be empty.
    tensors: Vec<Option<Tensor>>,
}

impl Gradients {
    /// Returns the dot product with other gradients.
    pub(crate) fn dot(&self, other: &Self) -> Result<f64> {
        let mut sum = 0.0;
        for (one, other) in self.tensors.iter().zip(&other.tensors) {
            if let (Some(one), Some(other)) = (one, other) {
                let product = one.f_flatten(0, -1)?.f_dot(&other.f_flatten(0, -1)?)?;
                sum += product.f_double_value(&[])?;
            }
        }
        Ok(sum)
    }

    /// Adds other gradients, scaled by `factor`.
    pub(crate) fn add_scaled(&mut self, factor: f64, other: &Self) -> Result<()> {
        for (one, other) in self.tensors.iter_mut().zip(&other.tensors) {
            let Some(other) = other else { continue };
            let scaled = no_grad(|| other.f_mul_scalar(factor))?;
            *one = Some(match one {
                Some(one) => no_grad(|| one.f_add(&scaled))?,
                None => scaled,
            });
        }
        Ok(())
    }
}

impl Optimizer {
    /// Moves the gradients out of the parameters, without copying; the parameters have no gradients afterwards. This does not
    /// depend on the position of the batch in its accumulation window.
    ///
    /// ```
    /// use faknow_trainer::{Clip, Optimizer, OptimizerConfig};
    /// use tch::{Device, nn};
    ///
    /// let vars = nn::VarStore::new(Device::Cpu);
    /// let weight = vars.root().ones("weight", &[]);
    /// let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.1), &vars, Clip::None)?;
    /// optimizer.backward(&(&weight * 2.0))?;
    /// let gradients = optimizer.take_gradients()?;
    /// assert!(!weight.grad().defined());
    /// optimizer.backward(&(&weight * 5.0))?;
    /// optimizer.add_gradients(&gradients)?;
    /// assert_eq!(weight.grad().double_value(&[]), 7.0);
    /// # Ok::<(), faknow_trainer::Error>(())
    /// ```
    ///
    /// # Errors
    /// libtorch cannot clear a gradient.
    pub fn take_gradients(&mut self) -> Result<Gradients> {
        let gradient = |parameter: &Parameter| {
            let gradient = parameter.tensor.f_grad()?;
            Ok(gradient.defined().then_some(gradient))
        };
        let tensors = self.parameters.iter().map(gradient).collect::<Result<_>>()?;
        self.grad_clearer.zero_grad()?;
        Ok(Gradients { tensors })
    }

    /// Adds gradients to those of the parameters.
    ///
    /// # Errors
    /// They are from an optimizer with another number of parameters; a libtorch operation fails.
    pub fn add_gradients(&mut self, gradients: &Gradients) -> Result<()> {
        let (n_gradients, n_parameters) = (gradients.tensors.len(), self.parameters.len());
        if n_gradients != n_parameters && n_gradients > 0 {
            let expected = format!("those of the optimizer's {n_parameters} parameters");
            return Err(setting("gradients", &expected, n_gradients));
        }
        for (Parameter { tensor, .. }, gradient) in self.parameters.iter().zip(&gradients.tensors) {
            let Some(gradient) = gradient else { continue };
            let mut present = tensor.f_grad()?;
            if present.defined() {
                let _ = no_grad(|| present.f_add_(gradient))?;
            } else if tensor.requires_grad() {
                // tch cannot set a gradient: this is the gradient of the product of the parameter and the gradient.
                with_grad(|| tensor.f_mul(gradient)?.f_sum(gradient.f_kind()?)?.f_backward())?;
            }
        }
        Ok(())
    }
}
