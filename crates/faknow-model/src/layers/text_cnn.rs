//! Convolutions over the words of a text, each followed by the maximum over time.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{bias_uniform, kaiming_uniform};
use crate::{Error, Result};

/// What stands between a convolution and the maximum over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// x above 0, 0.01 x below.
    LeakyRelu,
    /// x itself.
    None,
}

impl Activation {
    fn apply(self, x: Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Relu => x.f_relu()?,
            Self::LeakyRelu => x.f_leaky_relu()?,
            Self::None => x,
        })
    }
}

/// The text convolution block that TextCNN, EANN, SAFE, MDFEND, ENDEF and MFAN share.
///
/// Parameters `convs.<i>.weight` `[n_filters, 1, kernel, size]` and `convs.<i>.bias` `[n_filters]`, in the order
/// of the kernel sizes, as PyTorch's `Conv2d(1, n_filters, (kernel, size))` has them.
#[derive(Debug)]
pub struct TextCnnLayer {
    convolutions: Vec<Convolution>,
    activation: Activation,
}

#[derive(Debug)]
struct Convolution {
    kernel_size: i64,
    weight: Tensor,
    bias: Tensor,
}

impl TextCnnLayer {
    /// `n_filters` filters for each kernel size, over word vectors of `size` values.
    ///
    /// # Errors
    /// There is no kernel size, or one of the sizes is below 1.
    pub fn new(
        path: &Path<'_>,
        size: i64,
        n_filters: i64,
        kernel_sizes: &[i64],
        activation: Activation,
    ) -> Result<Self> {
        let wrong =
            |name, got: String| Error::Config { model: "TextCNN", name, expected: "at least 1".into(), got };
        if kernel_sizes.is_empty() {
            return Err(wrong("kernel_sizes", "none".into()));
        }
        if let Some(kernel) = kernel_sizes.iter().find(|k| **k < 1) {
            return Err(wrong("kernel_sizes", kernel.to_string()));
        }
        if n_filters < 1 {
            return Err(wrong("n_filters", n_filters.to_string()));
        }
        if size < 1 {
            return Err(wrong("embedding_size", size.to_string()));
        }
        let convolutions = kernel_sizes
            .iter()
            .enumerate()
            .map(|(i, &kernel_size)| {
                let path = path / "convs" / i;
                let weight = kaiming_uniform(&path, "weight", &[n_filters, 1, kernel_size, size])?;
                let bias = bias_uniform(&path, n_filters, kernel_size * size)?;
                Ok(Convolution { kernel_size, weight, bias })
            })
            .collect::<Result<_>>()?;
        Ok(Self { convolutions, activation })
    }

    /// Word vectors `[n, len, size]` to features `[n, n_filters * n_kernel_sizes]`.
    ///
    /// # Errors
    /// The texts are shorter than the widest kernel.
    pub fn forward(&self, words: &Tensor) -> Result<Tensor> {
        let len = words.size()[1];
        let widest = self.convolutions.iter().map(|c| c.kernel_size).max().unwrap_or(1);
        if len < widest {
            return Err(Error::Batch {
                model: "TextCNN",
                expected: format!("texts padded to at least the widest kernel, {widest} words"),
                got: format!("{len} words"),
            });
        }
        // A convolution over one channel with kernels as wide as a word vector is one over time with a channel
        // for each of the vector's values: the same sums, in a form that libtorch computes in half the time.
        let channels = words.f_transpose(1, 2)?; // [n, size, len]
        let features = self
            .convolutions
            .iter()
            .map(|c| {
                let weight = c.weight.f_squeeze_dim(1)?.f_transpose(1, 2)?; // [n_filters, size, kernel]
                let sums = channels.f_conv1d(&weight, Some(&c.bias), 1, 0, 1, 1)?; // [n, n_filters, len - kernel + 1]
                // Every activation here is monotone: the maximum may come first, and leaves less to activate.
                self.activation.apply(sums.f_amax(2, false)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_cat(&features, 1)?)
    }
}
