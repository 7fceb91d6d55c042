//! Layers that several modules of CAFE are made of.

use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{BatchNorm, Linear, bias_uniform, dropout, kaiming_uniform};
use crate::{Error, Mode, Result};

use super::TokenVectors;
use super::cafe::NAME;

/// Linear layers, each with batch normalization and ReLU, and optional dropout between them.
///
/// Parameters: `<i>.*` (linear) and `<i + 1>.*` (batch normalization), the positions in PyTorch's `Sequential`.
#[derive(Debug)]
pub(super) struct NormLayers {
    layers: Vec<(Linear, BatchNorm)>,
    dropout: Option<f64>,
}

impl NormLayers {
    /// Creates layers from the first of the sizes through all others, with this dropout in between.
    pub(super) fn new(path: &Path<'_>, sizes: &[i64], dropout: Option<f64>) -> Result<Self> {
        // Linear layer, batch normalization, ReLU, and dropout if there is any.
        let n_modules = if dropout.is_some() { 4 } else { 3 };
        let layer = |(i, sizes): (usize, &[i64])| {
            let first = i * n_modules;
            let linear = Linear::new(&(path / first), sizes[0], sizes[1])?;
            Ok((linear, BatchNorm::new(&(path / (first + 1)), sizes[1])?))
        };
        Ok(Self { layers: sizes.windows(2).enumerate().map(layer).collect::<Result<_>>()?, dropout })
    }

    /// Maps rows `[n, n_in]` to `[n, n_out]`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (i, (linear, norm)) in self.layers.iter().enumerate() {
            if let Some(rate) = self.dropout.filter(|_| i > 0) {
                x = dropout(&x, rate, mode)?;
            }
            x = norm.forward(&linear.forward(&x)?, mode)?.f_relu()?;
        }
        Ok(x)
    }
}

/// Convolutions of token vectors with batch normalization and ReLU, and the maximum over time.
///
/// Parameters: `<i>.0.*` (convolution, `[n_filters, size, kernel]`) and `<i>.1.*` (batch normalization), in the order of the
/// kernel sizes.
#[derive(Debug)]
pub(super) struct NormConvolutions {
    convolutions: Vec<Convolution>,
    /// Whether padding is read as tokens.
    faithful: bool,
}

#[derive(Debug)]
struct Convolution {
    kernel_size: i64,
    weight: Tensor,
    bias: Tensor,
    norm: BatchNorm,
}

impl NormConvolutions {
    pub(super) fn new(
        path: &Path<'_>,
        size: i64,
        n_filters: i64,
        kernel_sizes: &[i64],
        faithful: bool,
    ) -> Result<Self> {
        let convolution = |(i, &kernel_size): (usize, &i64)| {
            let path = path / i;
            let conv = &path / 0;
            Ok(Convolution {
                kernel_size,
                weight: kaiming_uniform(&conv, "weight", &[n_filters, size, kernel_size])?,
                bias: bias_uniform(&conv, n_filters, kernel_size * size)?,
                norm: BatchNorm::new(&(&path / 1), n_filters)?,
            })
        };
        let convolutions = kernel_sizes.iter().enumerate().map(convolution).collect::<Result<_>>()?;
        Ok(Self { convolutions, faithful })
    }

    /// Maps token vectors to features `[n, n_filters * n_kernel_sizes]`. Unless padding is read as tokens, the features and the
    /// statistics of the batch are those of the texts alone; one that is shorter than a kernel is padded with zeros.
    pub(super) fn forward(&self, tokens: &TokenVectors, mode: Mode) -> Result<Tensor> {
        let TokenVectors { vectors, mask, .. } = tokens;
        let len = vectors.size()[1];
        let widest = self.convolutions.iter().map(|convolution| convolution.kernel_size).max().unwrap_or(1);
        if self.faithful && len < widest {
            return Err(Error::Batch {
                model: NAME,
                expected: format!("texts padded to at least {widest} tokens, the widest kernel"),
                got: format!("{len} tokens"),
            });
        }
        let vectors = match self.faithful {
            true => vectors.shallow_clone(),
            false => vectors.f_mul(&mask.f_to_kind(vectors.kind())?.f_unsqueeze(2)?)?,
        };
        let channels = vectors.f_transpose(1, 2)?.f_constant_pad_nd([0, (widest - len).max(0)])?;
        let lengths = mask.f_sum_dim_intlist([1].as_slice(), true, Kind::Int64)?; // [n, 1]
        let features = self.convolutions.iter().map(|convolution| {
            let sums = channels.f_conv1d(&convolution.weight, Some(&convolution.bias), 1, 0, 1, 1)?; // [n, n_filters, n_windows]
            match self.faithful {
                true => Ok(convolution.norm.forward(&sums, mode)?.f_relu()?.f_amax(2, false)?),
                false => convolution.max_over_time(&sums, &lengths, mode),
            }
        });
        Ok(Tensor::f_cat(&features.collect::<Result<Vec<_>>>()?, 1)?)
    }
}

impl Convolution {
    /// Returns the maximum over the windows of each text, `[n, n_filters]`, of sums `[n, n_filters, n_windows]`.
    fn max_over_time(&self, sums: &Tensor, lengths: &Tensor, mode: Mode) -> Result<Tensor> {
        let (n, n_filters, n_windows) = sums.size3()?;
        let starts = Tensor::f_arange(n_windows, (Kind::Int64, sums.device()))?;
        let last = lengths.f_sub_scalar(self.kernel_size)?.f_clamp_min(0)?;
        let is_inside = starts.f_unsqueeze(0)?.f_le_tensor(&last)?; // [n, n_windows]
        let rows = sums.f_transpose(1, 2)?.f_reshape([n * n_windows, n_filters])?;
        let rows = match mode {
            // Windows of padding would change the statistics of the batch.
            Mode::Train => {
                let inside = is_inside.f_view([-1])?.f_nonzero()?.f_squeeze_dim(1)?;
                let normalized = self.norm.forward(&rows.f_index_select(0, &inside)?, mode)?.f_relu()?;
                rows.f_zeros_like()?.f_index_copy(0, &inside, &normalized)?
            }
            Mode::Eval => {
                let is_outside = is_inside.f_logical_not()?.f_view([-1, 1])?;
                self.norm.forward(&rows, mode)?.f_relu()?.f_masked_fill(&is_outside, 0.0)?
            }
        };
        // After the ReLU, the zeros of the other windows do not change the maximum.
        Ok(rows.f_view([n, n_windows, n_filters])?.f_amax([1], false)?)
    }
}
