//! A convolution with an optional batch normalization.

use tch::Tensor;

use super::params::{NormConstants, Params};
use crate::layers::BatchNorm;
use crate::{Mode, Result};

/// Batch normalization of torchvision's networks, PyTorch's default.
pub(super) const TORCHVISION_NORM: NormConstants = NormConstants { eps: 1e-5, momentum: 0.1 };

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvSizes {
    pub n_in: i64,
    pub n_out: i64,
    /// Size of the square kernel.
    pub kernel: i64,
    pub stride: i64,
    pub groups: i64,
    pub padding: Padding,
}

/// Zeros around the input of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) enum Padding {
    /// Half of the kernel, on all sides.
    Half,
    /// TensorFlow's `SAME`: as many that the output has ⌈size / stride⌉ values, the odd one at the end.
    TensorFlow,
}

impl ConvSizes {
    /// Creates sizes with groups 1, for torchvision's networks.
    pub(super) fn new(n_in: i64, n_out: i64, kernel: i64, stride: i64) -> Self {
        Self { n_in, n_out, kernel, stride, groups: 1, padding: Padding::Half }
    }
}

/// A convolution and what follows it: a bias or a batch normalization.
#[derive(Debug)]
pub(super) struct Conv {
    sizes: ConvSizes,
    weight: Tensor,
    bias: Option<Tensor>,
    norm: Option<BatchNorm>,
}

impl Conv {
    /// Creates a convolution with a bias.
    pub(super) fn with_bias(params: &Params<'_, '_>, sizes: ConvSizes) -> Result<Self> {
        let bias = Some(params.bias(sizes.n_out)?);
        Ok(Self { sizes, weight: weight(params, sizes)?, bias, norm: None })
    }

    /// Creates a convolution at `conv` and the batch normalization after it at `norm`.
    pub(super) fn with_norm(
        params: &Params<'_, '_>,
        [conv, norm]: [&str; 2],
        sizes: ConvSizes,
        constants: NormConstants,
    ) -> Result<Self> {
        let norm = Some(params.sub(norm).norm(sizes.n_out, constants)?);
        Ok(Self { sizes, weight: weight(&params.sub(conv), sizes)?, bias: None, norm })
    }

    /// Creates a convolution with a bias at `conv` and the batch normalization after it at `norm`.
    pub(super) fn with_bias_and_norm(
        params: &Params<'_, '_>,
        names: [&str; 2],
        sizes: ConvSizes,
        constants: NormConstants,
    ) -> Result<Self> {
        let bias = Some(params.sub(names[0]).bias(sizes.n_out)?);
        Ok(Self { bias, ..Self::with_norm(params, names, sizes, constants)? })
    }

    /// Maps `[n, n_in, height, width]` to `[n, n_out, ..]`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let ConvSizes { kernel, stride, groups, padding, .. } = self.sizes;
        let convolve = |x: &Tensor, padding: [i64; 2]| {
            x.f_conv2d(&self.weight, self.bias.as_ref(), [stride, stride], padding, [1, 1], groups)
        };
        let y = match padding {
            Padding::Half => convolve(x, [kernel / 2; 2])?,
            Padding::TensorFlow => {
                let (_, _, height, width) = x.size4()?;
                let [(top, bottom), (left, right)] = [height, width].map(|size| same(size, kernel, stride));
                if top == bottom && left == right {
                    convolve(x, [top, left])?
                } else {
                    convolve(&x.f_constant_pad_nd([left, right, top, bottom])?, [0, 0])?
                }
            }
        };
        match &self.norm {
            Some(norm) => norm.forward(&y, mode),
            None => Ok(y),
        }
    }

    /// Merges the batch normalization, as in evaluation, into the weight and the bias, which are no longer variables.
    pub(super) fn fold(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.weight = self.weight.f_detach()?;
        if let Some(norm) = self.norm.take() {
            let (scale, shift) = norm.scale_and_shift()?;
            self.weight = self.weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
            self.bias = Some(match &self.bias {
                Some(bias) => bias.f_mul(&scale)?.f_add(&shift)?,
                None => shift,
            });
        }
        self.bias = self.bias.as_ref().map(Tensor::f_detach).transpose()?;
        Ok(())
    }
}

fn weight(params: &Params<'_, '_>, sizes: ConvSizes) -> Result<Tensor> {
    params.conv([sizes.n_out, sizes.n_in / sizes.groups, sizes.kernel, sizes.kernel])
}

/// Returns TensorFlow's padding before and after `size` values.
fn same(size: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let n_out = size.div_euclid(stride) + i64::from(size % stride != 0);
    let padding = ((n_out - 1) * stride + kernel - size).max(0);
    (padding / 2, padding - padding / 2)
}
