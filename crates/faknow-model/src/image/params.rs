//! The parameters of an image encoder while it is built: random, or copies of tensors.

use std::cell::RefCell;
use std::collections::BTreeSet;

use tch::nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::shapes::Tensors;
use crate::Result;
use crate::layers::{BatchNorm, Linear, bias_uniform, kaiming_uniform};

/// Constants of a batch normalization.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormConstants {
    pub eps: f64,
    /// Weight of a batch in the running statistics.
    pub momentum: f64,
}

/// Creates the parameters below a name.
pub(super) struct Params<'a, 'v> {
    path: Path<'v>,
    /// The name of the module, with a dot at its end.
    prefix: String,
    /// The values; `None` for random ones.
    tensors: Option<&'a Tensors>,
    log: &'a RefCell<Log>,
}

/// What was found while parameters were created.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Names of the tensors that were used.
    pub used: BTreeSet<String>,
    /// The tensors that are missing or have the wrong shape, one phrase each.
    pub problems: Vec<String>,
}

impl<'a, 'v> Params<'a, 'v> {
    pub(super) fn new(path: Path<'v>, tensors: Option<&'a Tensors>, log: &'a RefCell<Log>) -> Self {
        Self { path, prefix: String::new(), tensors, log }
    }

    /// Returns the parameters of a module below this one; `name` may contain dots.
    pub(super) fn sub(&self, name: &str) -> Self {
        let path = name.split('.').fold(self.path.clone(), |path, part| path / part);
        Self { path, prefix: format!("{}{name}.", self.prefix), ..*self }
    }

    /// Creates the weight of a convolution, random as torchvision's: normal with the standard deviation √(2 / fan_out).
    pub(super) fn conv(&self, dims: [i64; 4]) -> Result<Tensor> {
        let (dist, fan) = (NormalOrUniform::Normal, FanInOut::FanOut);
        let init = Init::Kaiming { dist, fan, non_linearity: NonLinearity::ReLU };
        self.tensor("weight", &dims, |path| Ok(path.f_var("weight", &dims, init)?))
    }

    /// Creates the bias of a convolution, 0 unless given.
    pub(super) fn bias(&self, n: i64) -> Result<Tensor> {
        self.tensor("bias", &[n], |path| Ok(path.f_var("bias", &[n], Init::Const(0.0))?))
    }

    /// Creates a batch normalization of `n` channels.
    pub(super) fn norm(&self, n: i64, constants: NormConstants) -> Result<BatchNorm> {
        let variable = |name: &str, value: f64| {
            self.tensor(name, &[n], |path| Ok(path.f_var(name, &[n], Init::Const(value))?))
        };
        let buffer = |name: &str, value: f64| {
            let options = (self.path.kind(), self.path.device());
            self.tensor(name, &[n], |path| Ok(path.add(name, Tensor::f_full([n], value, options)?, false)))
        };
        let parameters = [variable("weight", 1.0)?, variable("bias", 0.0)?];
        let statistics = [buffer("running_mean", 0.0)?, buffer("running_var", 1.0)?];
        for statistic in &statistics {
            let _ = statistic.f_set_requires_grad(false)?;
        }
        Ok(BatchNorm::from_tensors(parameters, statistics, constants.eps, constants.momentum))
    }

    /// Creates a fully connected layer, random as PyTorch's.
    pub(super) fn linear(&self, n_in: i64, n_out: i64) -> Result<Linear> {
        let dims = [n_out, n_in];
        let weight = self.tensor("weight", &dims, |path| kaiming_uniform(path, "weight", &dims))?;
        let bias = self.tensor("bias", &[n_out], |path| bias_uniform(path, n_out, n_in))?;
        Ok(Linear::from_tensors(weight, bias))
    }

    fn tensor(
        &self,
        name: &str,
        dims: &[i64],
        random: impl FnOnce(&Path<'v>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let Some(tensors) = self.tensors else { return random(&self.path) };
        let full_name = format!("{}{name}", self.prefix);
        let problem = match tensors.get(&full_name) {
            None => format!("missing `{full_name}` {dims:?}"),
            Some(tensor) if tensor.size() != dims => {
                format!("`{full_name}`: expected {dims:?}, got {:?}", tensor.size())
            }
            Some(tensor) if !tensor.is_floating_point() => {
                format!("`{full_name}`: expected floats, got {:?}", tensor.f_kind()?)
            }
            Some(tensor) => {
                self.log.borrow_mut().used.insert(full_name);
                return self.copy(name, tensor);
            }
        };
        self.log.borrow_mut().problems.push(problem);
        Ok(Tensor::f_zeros(dims, (Kind::Float, self.path.device()))?)
    }

    fn copy(&self, name: &str, tensor: &Tensor) -> Result<Tensor> {
        let value = tensor.f_detach()?.f_to_device(self.path.device())?.f_to_kind(self.path.kind())?;
        if name.starts_with("running_") {
            return Ok(self.path.add(name, value.f_detach_copy()?, false));
        }
        Ok(self.path.f_var_copy(name, &value)?)
    }
}
