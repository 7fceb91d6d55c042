//! Fully connected layers with batch normalization.

use tch::Tensor;
use tch::nn::Path;

use super::{BatchNorm, Linear, dropout};
use crate::{Mode, Result};

/// Modules per hidden layer in PyTorch's `Sequential`: linear, batch normalization, ReLU, dropout.
const MODULES_PER_LAYER: usize = 4;

/// The multilayer perceptron of MDFEND, ENDEF and M3FEND: per hidden layer a linear layer, batch normalization, ReLU and
/// dropout, then an optional linear output layer.
///
/// Parameters: `mlp.<4i>.*` (linear) and `mlp.<4i + 1>.*` (batch normalization) of hidden layer `i`, and `mlp.<4n>.*` of the
/// output layer after `n` hidden layers, the positions in PyTorch's `Sequential`.
#[derive(Debug)]
pub struct Mlp {
    hidden: Vec<(Linear, BatchNorm)>,
    out: Option<Linear>,
    dropout: f64,
}

impl Mlp {
    /// Creates layers from `n_in` features through the hidden `sizes` to `n_out` values; `None` ends with the last hidden
    /// layer.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, sizes: &[i64], n_out: Option<i64>, dropout: f64) -> Result<Self> {
        let path = path / "mlp";
        let mut n_features = n_in;
        let mut hidden = Vec::with_capacity(sizes.len());
        for (layer, &size) in sizes.iter().enumerate() {
            let first = layer * MODULES_PER_LAYER;
            let linear = Linear::new(&(&path / first), n_features, size)?;
            hidden.push((linear, BatchNorm::new(&(&path / (first + 1)), size)?));
            n_features = size;
        }
        let last = sizes.len() * MODULES_PER_LAYER;
        let out = n_out.map(|n_out| Linear::new(&(&path / last), n_features, n_out)).transpose()?;
        Ok(Self { hidden, out, dropout })
    }

    /// Maps rows `[n, n_in]` to `[n, n_out]`.
    ///
    /// # Errors
    /// The rows do not have `n_in` features.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (linear, norm) in &self.hidden {
            x = dropout(&norm.forward(&linear.forward(&x)?, mode)?.f_relu()?, self.dropout, mode)?;
        }
        match &self.out {
            Some(out) => out.forward(&x),
            None => Ok(x),
        }
    }
}
