//! Convolutions over the words of a text, each followed by the maximum over time.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::windows::{self, Block, Words};
use super::word_table::WordTable;
use super::{Embedding, bias_uniform, kaiming_uniform};
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
    table: WordTable,
}

#[derive(Debug)]
struct Convolution {
    kernel_size: i64,
    weight: Tensor,
    bias: Tensor,
}

impl TextCnnLayer {
    /// Creates a layer with `n_filters` filters per kernel size, over word vectors of `size` values.
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
        Ok(Self { convolutions, activation, table: WordTable::default() })
    }

    /// Maps word vectors `[n, len, size]` to features `[n, n_filters * n_kernel_sizes]`.
    ///
    /// # Errors
    /// The texts are shorter than the widest kernel.
    pub fn forward(&self, words: &Tensor) -> Result<Tensor> {
        self.check_length(words.size()[1])?;
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

    /// Maps token ids i64 `[n, len]` to features `[n, n_filters * n_kernel_sizes]`: [`forward`](Self::forward) of their vectors,
    /// without multiplying a word twice that occurs twice in the batch.
    ///
    /// # Errors
    /// The texts are shorter than the widest kernel; a token id is not below the number of words.
    pub fn forward_words(&self, embedding: &Embedding, tokens: &Tensor) -> Result<Tensor> {
        if !windows::can_be_searched(tokens.device(), embedding.kind()) || tokens.numel() == 0 {
            return self.forward(&embedding.forward(tokens)?);
        }
        self.check_length(tokens.size()[1])?;
        let words = Words::of(tokens)?;
        let blocks = self.blocks();
        if let Some(table) = self.table(embedding, &words)? {
            return self.features(&windows::strongest(&table, &words.by_token()?, &blocks)?.sums);
        }
        let products = self.products(&embedding.forward_distinct(&words.distinct)?)?;
        let strongest = windows::strongest(&products, &words, &blocks)?;
        if !products.requires_grad() {
            return self.features(&strongest.sums);
        }
        // Only the strongest windows have a gradient: they are summed again, for libtorch to know them.
        let n = tokens.size()[0];
        let places = strongest.places(&words, &blocks, products.size()[1] as usize)?;
        let strongest = products.f_view(-1)?.f_index_select(0, &places)?;
        let mut from = 0;
        let features = self.convolutions.iter().map(|c| {
            let n_filters = c.bias.size()[0];
            let size = c.kernel_size * n * n_filters;
            let sums = strongest.f_narrow(0, from, size)?.f_view([c.kernel_size, n, n_filters])?;
            from += size;
            let sums = sums.f_sum_dim_intlist(0, false, None)?;
            self.activation.apply(sums.f_add(&c.bias)?)
        });
        Ok(Tensor::f_cat(&features.collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// Vectors `[n_words, size]` times all places of all kernels: `[n_words, columns]`.
    fn products(&self, vectors: &Tensor) -> Result<Tensor> {
        let weights: Vec<Tensor> =
            self.convolutions.iter().map(Convolution::by_place).collect::<Result<_>>()?;
        Ok(vectors.f_matmul(&Tensor::f_cat(&weights, 0)?.f_tr()?)?)
    }

    /// The products of all words, where no gradient is wanted and so many texts are classified that they pay.
    fn table(&self, embedding: &Embedding, words: &Words) -> Result<Option<Tensor>> {
        let vectors = embedding.weight();
        let weights: Vec<&Tensor> =
            self.convolutions.iter().map(|c| &c.weight).chain(std::iter::once(vectors)).collect();
        // What comes of a weight has a gradient if the weight has one and gradients are on.
        for weight in &weights {
            if weight.f_narrow(0, 0, 1)?.f_sum(weight.kind())?.requires_grad() {
                return Ok(None);
            }
        }
        if !words.are_below(embedding.n_words())? {
            return Ok(None);
        }
        let n_columns: usize = self.blocks().iter().map(|block| block.kernel_size * block.n_filters).sum();
        let shape = [embedding.n_words() as usize, n_columns];
        self.table.get(&weights, shape, words.distinct.numel(), || self.products(vectors))
    }

    /// The features that the largest sums `[n, n_filters * n_kernel_sizes]` give.
    fn features(&self, sums: &Tensor) -> Result<Tensor> {
        let biases: Vec<&Tensor> = self.convolutions.iter().map(|c| &c.bias).collect();
        self.activation.apply(sums.f_add(&Tensor::f_cat(&biases, 0)?)?)
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
                expected: format!("texts padded to at least the widest kernel, {widest} words"),
                got: format!("{len} words"),
            });
        }
        Ok(())
    }
}

impl Convolution {
    /// The weight as `[kernel * n_filters, size]`: what the filters have for the first place, for the second, and so on.
    fn by_place(&self) -> Result<Tensor> {
        let size = self.weight.size()[3];
        Ok(self.weight.f_squeeze_dim(1)?.f_transpose(0, 1)?.f_reshape([-1, size])?)
    }
}
