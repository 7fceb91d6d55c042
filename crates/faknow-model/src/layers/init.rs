//! PyTorch's default initialization of linear and convolution layers.
//!
//! The layers of tch differ: `tch::nn::linear` and `conv*` sample weights from a range 2.45 times as wide and set biases to
//! zero. These functions sample from the distributions of PyTorch's `reset_parameters`.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::Result;

/// Creates a weight of shape `dims`, uniform in ±1/√fan_in: PyTorch's `kaiming_uniform_` with a = √5.
///
/// The fan-in is the product of all dimensions except the first.
///
/// # Errors
/// libtorch rejects the dimensions.
pub fn kaiming_uniform(path: &Path<'_>, name: &str, dims: &[i64]) -> Result<Tensor> {
    uniform(path, name, dims, dims[1..].iter().product())
}

/// Creates a bias of `n` values, uniform in ±1/√fan_in of its layer.
///
/// # Errors
/// libtorch rejects the dimensions.
pub fn bias_uniform(path: &Path<'_>, n: i64, fan_in: i64) -> Result<Tensor> {
    uniform(path, "bias", &[n], fan_in)
}

/// Creates a weight of shape `dims`, uniform in ±√(6 / (n_in + n_out)) of the last two dimensions: Glorot and Bengio, AISTATS
/// 2010.
///
/// # Errors
/// There are fewer than two dimensions, or libtorch rejects them.
pub fn glorot(path: &Path<'_>, name: &str, dims: &[i64]) -> Result<Tensor> {
    let bound = glorot_bound(dims);
    Ok(path.f_var(name, dims, Init::Uniform { lo: -bound, up: bound })?)
}

/// Creates a weight of shape `dims`, normal with mean 0 and variance 2 / (n_in + n_out) of the last two dimensions: PyTorch's
/// `xavier_normal_`.
///
/// # Errors
/// There are fewer than two dimensions, or libtorch rejects them.
pub fn glorot_normal(path: &Path<'_>, name: &str, dims: &[i64]) -> Result<Tensor> {
    // A uniform distribution in ±bound has the standard deviation bound / √3.
    let stdev = glorot_bound(dims) / 3f64.sqrt();
    Ok(path.f_var(name, dims, Init::Randn { mean: 0.0, stdev })?)
}

pub(super) fn glorot_bound(dims: &[i64]) -> f64 {
    let sum: i64 = dims.iter().rev().take(2).sum();
    (6.0 / sum.max(1) as f64).sqrt()
}

pub(super) fn kaiming_bound(fan_in: i64) -> f64 {
    if fan_in > 0 { 1.0 / (fan_in as f64).sqrt() } else { 0.0 }
}

fn uniform(path: &Path<'_>, name: &str, dims: &[i64], fan_in: i64) -> Result<Tensor> {
    let bound = kaiming_bound(fan_in);
    Ok(path.f_var(name, dims, Init::Uniform { lo: -bound, up: bound })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, nn::VarStore};

    // PyTorch's `nn.Linear(64, 500)` has weights and biases uniform in ±0.125, with a standard deviation of 0.125/√3.
    #[test]
    fn weights_have_pytorchs_distribution() {
        tch::manual_seed(0);
        let vars = VarStore::new(Device::Cpu);
        let weight = kaiming_uniform(&vars.root(), "weight", &[500, 4, 16]).unwrap();
        let bias = bias_uniform(&vars.root(), 5000, 64).unwrap();
        for tensor in [weight, bias] {
            let (min, max) = (tensor.min().double_value(&[]), tensor.max().double_value(&[]));
            let std = tensor.std(true).double_value(&[]);
            assert!(min >= -0.125 && max <= 0.125 && max - min > 0.245, "{min} {max}");
            assert!((std - 0.125 / 3f64.sqrt()).abs() < 0.002, "{std}");
        }
    }
}
