//! Word vectors by word number.

use tch::Tensor;
use tch::nn::{Init, Path};

use crate::{Error, Result};

/// PyTorch's `nn.Embedding`: `weight` `[n_words, size]`; row 0, the padding, is a row like any other.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// Vectors drawn uniformly from ±0.25, as Kim's (2014) for words without a pretrained vector.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn random(path: &Path<'_>, n_words: i64, size: i64) -> Result<Self> {
        Ok(Self { weight: path.f_var("weight", &[n_words, size], Init::Uniform { lo: -0.25, up: 0.25 })? })
    }

    /// The given `vectors` `[n_words, size]`.
    ///
    /// # Errors
    /// `vectors` has not two dimensions.
    pub fn pretrained(path: &Path<'_>, vectors: &Tensor) -> Result<Self> {
        if vectors.dim() != 2 {
            return Err(Error::Config {
                model: "Embedding",
                name: "vectors",
                expected: "two dimensions [n_words, size]".into(),
                got: format!("{:?}", vectors.size()),
            });
        }
        Ok(Self {
            weight: path.f_var_copy("weight", &vectors.to_device(path.device()).to_kind(path.kind()))?,
        })
    }

    /// The same vectors, kept out of training.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self { weight: self.weight.set_requires_grad(false) }
    }

    /// Number of words.
    pub fn n_words(&self) -> i64 {
        self.weight.size()[0]
    }

    /// Word numbers i64 `[n, len]` to vectors `[n, len, size]`.
    ///
    /// # Errors
    /// A word number is not below the number of words.
    pub fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        // libtorch reads a token outside the table as an error on the CPU, and it names neither token nor table.
        Tensor::f_embedding(&self.weight, tokens, -1, false, false).map_err(|error| {
            let outside = |t: Result<Tensor, tch::TchError>| t.ok().and_then(|t| t.f_int64_value(&[]).ok());
            match (outside(tokens.f_min()), outside(tokens.f_max())) {
                (Some(min), Some(max)) if min < 0 || max >= self.n_words() => Error::Batch {
                    model: "Embedding",
                    expected: format!("tokens from 0 to {}", self.n_words() - 1),
                    got: format!("tokens from {min} to {max}"),
                },
                _ => Error::Torch(error),
            }
        })
    }
}
