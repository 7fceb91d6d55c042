//! Text convolutions with max-over-time pooling.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::product_cache::ProductCache;
use super::windows::{self, Block, DistinctTokens};
use super::{Embedding, bias_uniform, kaiming_uniform};
use crate::{Error, Result};

/// The activation between a convolution and max-over-time pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// x above 0, 0.01 x below 0.
    LeakyRelu,
    /// The identity.
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

/// The text convolution block of TextCNN, EANN, SAFE, MDFEND, ENDEF and MFAN.
///
/// Parameters: `convs.<i>.weight` `[n_filters, 1, kernel, size]` and `convs.<i>.bias` `[n_filters]`, in the order of the
/// kernel sizes, those of PyTorch's `Conv2d(1, n_filters, (kernel, size))`.
#[derive(Debug)]
pub struct TextCnnLayer {
    convolutions: Vec<Convolution>,
    activation: Activation,
    cache: ProductCache,
}

#[derive(Debug)]
struct Convolution {
    kernel_size: i64,
    weight: Tensor,
    bias: Tensor,
}

impl TextCnnLayer {
    /// Creates a layer with `n_filters` filters per kernel size, for word vectors of length `size`.
    ///
    /// # Errors
    /// There are no kernel sizes, or a size is below 1.
    pub fn new(
        path: &Path<'_>,
        size: i64,
        n_filters: i64,
        kernel_sizes: &[i64],
        activation: Activation,
    ) -> Result<Self> {
        let invalid =
            |name, got: String| Error::Config { model: "TextCNN", name, expected: "at least 1".into(), got };
        if kernel_sizes.is_empty() {
            return Err(invalid("kernel_sizes", "none".into()));
        }
        if let Some(kernel) = kernel_sizes.iter().find(|k| **k < 1) {
            return Err(invalid("kernel_sizes", kernel.to_string()));
        }
        if n_filters < 1 {
            return Err(invalid("n_filters", n_filters.to_string()));
        }
        if size < 1 {
            return Err(invalid("embedding_size", size.to_string()));
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
        Ok(Self { convolutions, activation, cache: ProductCache::default() })
    }

    /// Maps word vectors `[n, len, size]` to features `[n, n_filters * n_kernel_sizes]`.
    ///
    /// # Errors
    /// The texts are shorter than the widest kernel.
    pub fn forward(&self, words: &Tensor) -> Result<Tensor> {
        self.check_length(words.size()[1])?;
        // A 2D convolution with kernels as wide as the word vectors equals a 1D convolution with one channel per vector
        // component, which libtorch computes in half the time.
        let channels = words.f_transpose(1, 2)?; // [n, size, len]
        let features = self
            .convolutions
            .iter()
            .map(|c| {
                let weight = c.weight.f_squeeze_dim(1)?.f_transpose(1, 2)?; // [n_filters, size, kernel]
                let sums = channels.f_conv1d(&weight, Some(&c.bias), 1, 0, 1, 1)?; // [n, n_filters, len - kernel + 1]
                // Every activation is monotone, so it can follow the maximum, where there are fewer values.
                self.activation.apply(sums.f_amax(2, false)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_cat(&features, 1)?)
    }

    /// Maps token ids i64 `[n, len]` to features `[n, n_filters * n_kernel_sizes]`: the result of [`forward`](Self::forward) for
    /// their vectors, but each distinct word of the batch is multiplied only once.
    ///
    /// # Errors
    /// The texts are shorter than the widest kernel; a token id is not below the number of words.
    pub fn forward_words(&self, embedding: &Embedding, ids: &Tensor) -> Result<Tensor> {
        if !windows::is_supported(ids.device(), embedding.kind()) || ids.numel() == 0 {
            return self.forward(&embedding.forward(ids)?);
        }
        self.check_length(ids.size()[1])?;
        let tokens = DistinctTokens::new(ids)?;
        let blocks = self.blocks();
        let sums = match self.cached_products(embedding, &tokens)? {
            Some(products) => windows::max_over_time(&products, &tokens.indexed_by_id()?, &blocks)?,
            None => {
                let products = self.products(&embedding.forward_distinct(&tokens.distinct)?)?;
                windows::max_over_time(&products, &tokens, &blocks)?
            }
        };
        let features = self.convolutions.iter().zip(sums);
        let features = features.map(|(c, sums)| self.activation.apply(sums.f_add(&c.bias)?));
        Ok(Tensor::f_cat(&features.collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// Returns the products of vectors `[n_words, size]` with all positions of all kernels, `[n_words, n_columns]`.
    fn products(&self, vectors: &Tensor) -> Result<Tensor> {
        let weights: Vec<Tensor> =
            self.convolutions.iter().map(Convolution::by_position).collect::<Result<_>>()?;
        Ok(vectors.f_matmul(&Tensor::f_cat(&weights, 0)?.f_tr()?)?)
    }

    /// Returns the cached products of all words; `None` if a gradient is needed, a token id is out of range, or too few texts
    /// were classified.
    fn cached_products(&self, embedding: &Embedding, tokens: &DistinctTokens) -> Result<Option<Tensor>> {
        let vectors = embedding.weight();
        let weights: Vec<&Tensor> =
            self.convolutions.iter().map(|c| &c.weight).chain(std::iter::once(vectors)).collect();
        // The result of an operation requires a gradient if the weight does and gradients are enabled.
        for weight in &weights {
            if weight.f_narrow(0, 0, 1)?.f_sum(weight.kind())?.requires_grad() {
                return Ok(None);
            }
        }
        if !tokens.are_below(embedding.n_words())? {
            return Ok(None);
        }
        let n_columns: usize = self.blocks().iter().map(|block| block.kernel_size * block.n_filters).sum();
        let shape = [embedding.n_words() as usize, n_columns];
        self.cache.get(&weights, shape, tokens.distinct.numel(), || self.products(vectors))
    }

    fn blocks(&self) -> Vec<Block> {
        let mut first_column = 0;
        let block = |c: &Convolution| {
            let (kernel_size, n_filters) = (c.kernel_size as usize, c.bias.size()[0] as usize);
            let block = Block { first_column, kernel_size, n_filters };
            first_column += kernel_size * n_filters;
            block
        };
        self.convolutions.iter().map(block).collect()
    }

    fn check_length(&self, len: i64) -> Result<()> {
        let widest = self.convolutions.iter().map(|c| c.kernel_size).max().unwrap_or(1);
        if len < widest {
            return Err(Error::Batch {
                model: "TextCNN",
                expected: format!("texts padded to at least {widest} words, the widest kernel"),
                got: format!("{len} words"),
            });
        }
        Ok(())
    }
}

impl Convolution {
    /// Returns the weight as `[kernel * n_filters, size]`, ordered by position in the kernel.
    fn by_position(&self) -> Result<Tensor> {
        let size = self.weight.size()[3];
        Ok(self.weight.f_squeeze_dim(1)?.f_transpose(0, 1)?.f_reshape([-1, size])?)
    }
}
