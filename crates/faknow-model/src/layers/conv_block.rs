//! A convolution along the rows of an image, with batch normalization.

use tch::Tensor;
use tch::nn::Path;

use super::{BatchNorm, bias_uniform, kaiming_uniform};
use crate::{Mode, Result};

/// A convolution `(1, kernel)` with stride 1, batch normalization and ReLU.
///
/// Parameters: `0.weight` `[n_out, n_in, 1, kernel]`, `0.bias` `[n_out]` (PyTorch's `Conv2d`), `1.*` (`BatchNorm2d`).
#[derive(Debug)]
pub struct ConvBlock {
    weight: Tensor,
    bias: Tensor,
    norm: BatchNorm,
    padding: i64,
}

impl ConvBlock {
    /// Creates a layer from `n_in` to `n_out` channels with `padding` zeros before and after each row.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, [n_in, n_out]: [i64; 2], kernel: i64, padding: i64) -> Result<Self> {
        let convolution = path / 0;
        Ok(Self {
            weight: kaiming_uniform(&convolution, "weight", &[n_out, n_in, 1, kernel])?,
            bias: bias_uniform(&convolution, n_out, n_in * kernel)?,
            norm: BatchNorm::new(&(path / 1), n_out)?,
            padding,
        })
    }

    /// Maps `[n, n_in, height, width]` to `[n, n_out, height, width + 2 * padding - kernel + 1]`.
    ///
    /// # Errors
    /// The rows are shorter than the kernel.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let y = x.f_conv2d(&self.weight, Some(&self.bias), [1, 1], [0, self.padding], [1, 1], 1)?;
        Ok(self.norm.forward(&y, mode)?.f_relu()?)
    }
}
