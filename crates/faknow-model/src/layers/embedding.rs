//! Word vectors by token id.

use std::cell::Cell;

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

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

    /// Creates a layer from `vectors` `[n_words, size]`.
    ///
    /// # Errors
    /// `vectors` has not two dimensions.
    pub fn from_pretrained(path: &Path<'_>, vectors: &Tensor) -> Result<Self> {
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

    /// Returns the same vectors, excluded from training.
    #[must_use]
    pub fn freeze(self) -> Self {
        Self { weight: self.weight.set_requires_grad(false) }
    }

    /// Returns the number of words.
    pub fn n_words(&self) -> i64 {
        self.weight.size()[0]
    }

    /// The vectors of all words, `[n_words, size]`.
    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Returns the kind of the vectors' values.
    pub fn kind(&self) -> Kind {
        self.weight.kind()
    }

    /// Returns the vectors `[n, len, size]` of token ids i64 `[n, len]`.
    ///
    /// # Errors
    /// A token id is not below the number of words.
    pub fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        self.look_up(tokens, false)
    }

    /// Token ids i64 `[n]`, none of them twice, to vectors `[n, size]`. Inside [`with_sparse_gradients`] their gradient has no
    /// rows but theirs.
    pub(super) fn forward_distinct(&self, tokens: &Tensor) -> Result<Tensor> {
        self.look_up(tokens, ROW_GRADIENTS.get())
    }

    fn look_up(&self, tokens: &Tensor, row_gradients: bool) -> Result<Tensor> {
        // libtorch reads a token outside the table as an error on the CPU, and it names neither token nor table.
        Tensor::f_embedding(&self.weight, tokens, -1, false, row_gradients).map_err(|error| {
            let outside = |t: Result<Tensor, tch::TchError>| t.ok().and_then(|t| t.f_int64_value(&[]).ok());
            match (outside(tokens.f_min()), outside(tokens.f_max())) {
                (Some(min), Some(max)) if min < 0 || max >= self.n_words() => Error::Batch {
                    model: "Embedding",
                    expected: format!("tokens from 0 to {}", self.n_words() - 1),
                    got: format!("tokens from {min} to {max}"),
                },
                _ => error.into(),
            }
        })
    }
}

thread_local! {
    static ROW_GRADIENTS: Cell<bool> = const { Cell::new(false) };
}

/// Lets the gradients of word vectors that `forward` makes have no rows but those of the words that occur: a sparse tensor
/// of libtorch, which `faknow_trainer::Optimizer` takes and tch's own optimizers refuse. The updates are those by the dense gradient to
/// the last bit, but for the norm of all gradients, which is a sum in another order, and for what it clips.
///
/// A batch has a few hundred words out of tens of thousands. The stock training step does it; for a loop of your own:
///
/// ```
/// use faknow_data::FieldBatch;
/// use faknow_model::layers::with_sparse_gradients;
/// use faknow_model::{Mode, Model, TextCnn, TextCnnConfig};
/// use tch::{Device, Tensor, nn};
///
/// let vars = nn::VarStore::new(Device::Cpu);
/// let model = TextCnn::new(&vars.root(), &TextCnnConfig::default(), 1000, 2)?;
/// let tokens = Tensor::from_slice2(&[[2i64, 3, 4, 0, 0, 0]]);
/// let batch = FieldBatch::from_words(tokens, Some(Tensor::from_slice(&[1i64])))?;
/// let output = with_sparse_gradients(|| model.forward(&batch, Mode::Train))?;
/// output.loss.unwrap().total.backward();
/// assert!(vars.variables()["word_embedding.weight"].grad().is_sparse());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn with_sparse_gradients<T>(forward: impl FnOnce() -> T) -> T {
    /// Sets it back, even if `forward` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            ROW_GRADIENTS.set(self.0);
        }
    }
    let _before = Before(ROW_GRADIENTS.replace(true));
    forward()
}
