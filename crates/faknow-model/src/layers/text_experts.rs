//! Several text convolution blocks on the same token vectors.

use tch::Tensor;
use tch::nn::Path;

use super::windows::{self, Block};
use super::{DistinctWords, bias_uniform, kaiming_uniform};
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

    /// Maps words to features `[n, n_experts, n_filters * n_kernel_sizes]`: the result of [`forward`](Self::forward) for their
    /// vectors with a mask, but each distinct word is multiplied only once.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub(crate) fn forward_words(&self, words: &DistinctWords) -> Result<Tensor> {
        let (mut blocks, mut weights, mut first_column) = (Vec::new(), Vec::new(), 0);
        for (kernel, experts) in &self.convolutions {
            let by_channel: Vec<Tensor> =
                experts.iter().map(Convolution::channels_first).collect::<Result<_>>()?;
            let by_channel = Tensor::f_cat(&by_channel, 0)?; // [n_filters of all experts, size, kernel]
            let (n_filters, kernel_size) = (by_channel.size()[0] as usize, *kernel as usize);
            weights.push(by_channel.f_permute([2, 0, 1])?.f_reshape([-1, by_channel.size()[1]])?);
            blocks.push(Block { first_column, kernel_size, n_filters });
            first_column += kernel_size * n_filters;
        }
        let products = words.vectors.f_matmul(&Tensor::f_cat(&weights, 0)?.f_tr()?)?;
        let widest = blocks.iter().map(|block| block.kernel_size).max().unwrap_or(1);
        let sums = windows::max_over_time(&products, &words.tokens.padded_to(widest), &blocks)?;
        let features = self.convolutions.iter().zip(sums).map(|((_, experts), sums)| {
            let biases: Vec<&Tensor> = experts.iter().map(|convolution| &convolution.bias).collect();
            let n = sums.size()[0];
            Ok(sums.f_add(&Tensor::f_cat(&biases, 0)?)?.f_view([n, self.n_experts, -1])?)
        });
        Ok(Tensor::f_cat(&features.collect::<Result<Vec<_>>>()?, 2)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::layers::Embedding;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    /// Texts of 5, 0, 2 (shorter than the widest kernel) and 6 tokens.
    const IDS: [[i64; 6]; 4] = [[2, 3, 2, 4, 5, 0], [0; 6], [7, 2, 0, 0, 0, 0], [5, 5, 5, 6, 2, 3]];

    #[test]
    fn distinct_words_have_the_features_and_gradients_of_their_vectors() {
        tch::manual_seed(3);
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(Kind::Double);
        let root = vars.root();
        let embedding = Embedding::random(&(&root / "words"), 8, 3).unwrap();
        let ids = Tensor::from_slice2(&IDS);
        let lengths = Tensor::from_slice(&[5i64, 0, 2, 6]);
        let mask =
            Tensor::arange(6, (Kind::Int64, Device::Cpu)).unsqueeze(0).lt_tensor(&lengths.unsqueeze(1));
        for (i, shape) in
            [ConvolutionShape::TwoDimensional, ConvolutionShape::OneDimensional].into_iter().enumerate()
        {
            for kernel_sizes in [&[1, 3][..], &[2, 9]] {
                let path = &root / i / kernel_sizes.len() / kernel_sizes[0];
                let sizes = TextExpertSizes { size: 3, n_filters: 4, kernel_sizes };
                let layer = TextExperts::new(&[&path / 0, &path / 1], sizes, shape).unwrap();
                let result = |features: Tensor| {
                    vars.variables().values().for_each(|weight| {
                        let mut gradient = weight.grad();
                        if gradient.defined() {
                            let _ = gradient.zero_();
                        }
                    });
                    (&features * features.cos()).sum(Kind::Double).backward();
                    let gradients = vars.variables().into_iter().map(|(name, weight)| (name, weight.grad()));
                    let gradients =
                        gradients.filter(|(_, gradient)| gradient.defined()).map(|(n, g)| (n, g.copy()));
                    (features.detach(), gradients.collect::<std::collections::BTreeMap<_, _>>())
                };
                let vectors = embedding.forward(&ids).unwrap();
                let (expected, gradients) = result(layer.forward(&vectors, Some(&mask)).unwrap());
                let words = DistinctWords::new(&embedding, &ids, &lengths, 0.5, Mode::Eval).unwrap();
                let masked = vectors * mask.to_kind(Kind::Double).unsqueeze(2);
                assert_eq!(words.of_tokens().unwrap(), masked);
                let (features, others) = result(layer.forward_words(&words).unwrap());
                assert_eq!(features.size(), [4, 2, 8]);
                assert!((features - expected).abs().max().double_value(&[]) < 1e-12);
                assert_eq!(gradients.len(), others.len());
                for (name, gradient) in &gradients {
                    let difference = (gradient - &others[name]).abs().max().double_value(&[]);
                    assert!(difference < 1e-12, "{name} {kernel_sizes:?} {difference}");
                }
            }
        }
    }
}
