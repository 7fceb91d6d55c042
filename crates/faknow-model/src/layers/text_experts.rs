//! Several text convolution blocks on the same token vectors.

use tch::Tensor;
use tch::nn::Path;

use super::{bias_uniform, kaiming_uniform};
use crate::{Error, Result};

/// The shape of the weights of a convolution, which differs between FaKnow's models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvolutionShape {
    /// `[n_filters, 1, kernel, size]`, PyTorch's `Conv2d(1, n_filters, (kernel, size))`.
    TwoDimensional,
    /// `[n_filters, size, kernel]`, PyTorch's `Conv1d(size, n_filters, kernel)`.
    OneDimensional,
}

/// Text convolution experts: blocks of convolutions without activation and with max-over-time pooling, all on the same token
/// vectors.
///
/// Parameters: `<expert>.convs.<i>.weight` and `.bias`, in the order of the kernel sizes. The convolutions of one kernel size
/// are computed together for all experts.
#[derive(Debug)]
pub struct TextExperts {
    /// Per kernel size, one convolution per expert.
    convolutions: Vec<(i64, Vec<Convolution>)>,
    n_experts: i64,
}

#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    bias: Tensor,
    shape: ConvolutionShape,
}

/// The sizes of [`TextExperts`].
#[derive(Debug, Clone, Copy)]
pub struct TextExpertSizes<'a> {
    /// Length of the token vectors.
    pub size: i64,
    /// Number of filters per kernel size.
    pub n_filters: i64,
    /// Kernel sizes in tokens.
    pub kernel_sizes: &'a [i64],
}

impl TextExpertSizes<'_> {
    /// Returns the number of features of a text per expert.
    pub fn n_features(&self) -> i64 {
        self.n_filters * self.kernel_sizes.len() as i64
    }
}

impl TextExperts {
    /// Creates one expert per path.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(experts: &[Path<'_>], sizes: TextExpertSizes<'_>, shape: ConvolutionShape) -> Result<Self> {
        let TextExpertSizes { size, n_filters, kernel_sizes } = sizes;
        let mut convolutions: Vec<_> = kernel_sizes.iter().map(|&kernel| (kernel, Vec::new())).collect();
        for path in experts {
            for (i, (kernel, experts)) in convolutions.iter_mut().enumerate() {
                let kernel = *kernel;
                let path = path / "convs" / i;
                let dims = match shape {
                    ConvolutionShape::TwoDimensional => vec![n_filters, 1, kernel, size],
                    ConvolutionShape::OneDimensional => vec![n_filters, size, kernel],
                };
                let weight = kaiming_uniform(&path, "weight", &dims)?;
                let bias = bias_uniform(&path, n_filters, kernel * size)?;
                experts.push(Convolution { weight, bias, shape });
            }
        }
        Ok(Self { convolutions, n_experts: experts.len() as i64 })
    }

    /// Maps token vectors `[n, len, size]` to features `[n, n_experts, n_filters * n_kernel_sizes]`.
    ///
    /// `mask` bool `[n, len]` marks the tokens, which precede the padding. The features are those of the text alone; one that is
    /// shorter than a kernel is padded with zeros. Without a mask, padding is treated as tokens.
    ///
    /// # Errors
    /// The shapes do not fit; without a mask, the texts are shorter than the widest kernel.
    pub fn forward(&self, vectors: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (n, len) = (vectors.size()[0], vectors.size()[1]);
        let widest = self.convolutions.iter().map(|(kernel, _)| *kernel).max().unwrap_or(1);
        if mask.is_none() && len < widest {
            return Err(Error::Batch {
                model: "TextExperts",
                expected: format!("texts padded to at least {widest} tokens, the widest kernel"),
                got: format!("{len} tokens"),
            });
        }
        let channels = match mask {
            Some(mask) => vectors.f_mul(&mask.f_to_kind(vectors.kind())?.f_unsqueeze(2)?)?,
            None => vectors.shallow_clone(),
        };
        let channels = channels.f_transpose(1, 2)?.f_constant_pad_nd([0, (widest - len).max(0)])?; // [n, size, len]
        let mut features = Vec::with_capacity(self.convolutions.len());
        for (kernel, experts) in &self.convolutions {
            let weights: Vec<Tensor> =
                experts.iter().map(Convolution::channels_first).collect::<Result<_>>()?;
            let biases: Vec<&Tensor> = experts.iter().map(|convolution| &convolution.bias).collect();
            let (weight, bias) = (Tensor::f_cat(&weights, 0)?, Tensor::f_cat(&biases, 0)?);
            let mut sums = channels.f_conv1d(&weight, Some(&bias), 1, 0, 1, 1)?; // [n, filters, n_windows]
            if let Some(mask) = mask {
                let starts = Tensor::f_arange(sums.size()[2], (tch::Kind::Int64, mask.device()))?;
                let lengths = mask.f_sum_dim_intlist([1].as_slice(), true, tch::Kind::Int64)?; // [n, 1]
                let last = lengths.f_sub_scalar(*kernel)?.f_clamp_min(0)?;
                let is_outside = starts.f_unsqueeze(0)?.f_gt_tensor(&last)?; // [n, n_windows]
                sums = sums.f_masked_fill(&is_outside.f_unsqueeze(1)?, f64::NEG_INFINITY)?;
            }
            features.push(sums.f_amax(2, false)?.f_view([n, self.n_experts, -1])?);
        }
        Ok(Tensor::f_cat(&features, 2)?)
    }
}

impl Convolution {
    /// Returns the weight as `[n_filters, size, kernel]`.
    fn channels_first(&self) -> Result<Tensor> {
        Ok(match self.shape {
            ConvolutionShape::TwoDimensional => self.weight.f_squeeze_dim(1)?.f_transpose(1, 2)?,
            ConvolutionShape::OneDimensional => self.weight.shallow_clone(),
        })
    }
}
