//! Word embeddings.

use std::cell::Cell;

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use crate::{Error, Mode, Result};

/// PyTorch's `nn.Embedding`: `weight` `[n_words, size]`; row 0, the padding, is not treated specially.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// Creates a layer with vectors uniform in ±0.25, as those of Kim (2014) for words without a pretrained vector.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn random(path: &Path<'_>, n_words: i64, size: i64) -> Result<Self> {
        Ok(Self { weight: path.f_var("weight", &[n_words, size], Init::Uniform { lo: -0.25, up: 0.25 })? })
    }

    /// Creates a layer from pretrained `vectors` `[n_words, size]`.
    ///
    /// # Errors
    /// `vectors` does not have two dimensions.
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

    /// Creates a layer on existing vectors `[n_words, size]`.
    pub(crate) fn from_weight(weight: Tensor) -> Self {
        Self { weight }
    }

    /// Excludes the vectors from training.
    #[must_use]
    pub fn freeze(self) -> Self {
        Self { weight: self.weight.set_requires_grad(false) }
    }

    /// Returns the number of words.
    pub fn n_words(&self) -> i64 {
        self.weight.size()[0]
    }

    /// Returns the length of the vectors.
    pub fn size(&self) -> i64 {
        self.weight.size()[1]
    }

    /// Returns the vectors of all words, `[n_words, size]`.
    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Returns the kind (dtype) of the vectors.
    pub fn kind(&self) -> Kind {
        self.weight.kind()
    }

    /// Returns the vectors `[n, len, size]` of token ids i64 `[n, len]`.
    ///
    /// # Errors
    /// A token id is not below the number of words.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        self.lookup(ids, false)
    }

    /// Returns the vectors `[n, size]` of distinct token ids i64 `[n]`. Within [`with_sparse_gradients`] the gradient is sparse.
    pub(super) fn forward_distinct(&self, ids: &Tensor) -> Result<Tensor> {
        self.lookup(ids, SPARSE_GRADIENTS.get())
    }

    /// Returns the vectors `[n, size]` of token ids i64 `[n]`, which may be repeated. Within [`with_sparse_gradients`] the
    /// gradient is sparse.
    pub(crate) fn forward_rows(&self, ids: &Tensor) -> Result<Tensor> {
        if !SPARSE_GRADIENTS.get() || !self.weight.requires_grad() {
            return self.lookup(ids, false);
        }
        let (distinct, positions) = ids.f_internal_unique(true, true)?;
        Ok(self.lookup(&distinct, true)?.f_index_select(0, &positions)?)
    }

    /// Sets `vectors` `[.., size]` of the token ids `ids` i64 `[..]` to zero in training: those of each word with probability `rate`,
    /// in all of its occurrences. Gal and Ghahramani, *A Theoretically Grounded Application of Dropout in Recurrent Neural
    /// Networks*, NeurIPS 2016, section 4.2. The others are not scaled up, so that maxima over a text are not larger than in
    /// evaluation.
    ///
    /// # Errors
    /// A token id is not below the number of words.
    pub(crate) fn dropout(&self, vectors: &Tensor, ids: &Tensor, rate: f64, mode: Mode) -> Result<Tensor> {
        if !mode.is_train() || rate == 0.0 {
            return Ok(vectors.shallow_clone());
        }
        let options = (Kind::Float, vectors.device());
        let is_retained =
            Tensor::f_rand([self.n_words(), 1], options)?.f_ge(rate)?.f_to_kind(vectors.kind())?;
        Ok(vectors.f_mul(&Tensor::f_embedding(&is_retained, ids, -1, false, false)?)?)
    }

    fn lookup(&self, ids: &Tensor, sparse: bool) -> Result<Tensor> {
        // libtorch's error for ids out of range names neither ids nor range.
        Tensor::f_embedding(&self.weight, ids, -1, false, sparse).map_err(|error| {
            let value = |t: Result<Tensor, tch::TchError>| t.ok().and_then(|t| t.f_int64_value(&[]).ok());
            match (value(ids.f_min()), value(ids.f_max())) {
                (Some(min), Some(max)) if min < 0 || max >= self.n_words() => Error::Batch {
                    model: "Embedding",
                    expected: format!("token ids 0..={}", self.n_words() - 1),
                    got: format!("{min}..={max}"),
                },
                _ => error.into(),
            }
        })
    }
}

thread_local! {
    static SPARSE_GRADIENTS: Cell<bool> = const { Cell::new(false) };
}

/// Runs `forward` with sparse gradients of word embeddings, which have rows only for the words of the batch, as PyTorch's
/// `nn.Embedding(sparse=True)`.
///
/// A batch has a few hundred of tens of thousands of words. `faknow_trainer::Optimizer` supports sparse gradients, tch's
/// optimizers do not. The updates equal those of dense gradients bit by bit, except for the gradient norm, which is summed in
/// another order, and clipping by it. The default training step uses sparse gradients; in a custom loop:
///
/// ```
/// use faknow_data::FieldBatch;
/// use faknow_model::layers::with_sparse_gradients;
/// use faknow_model::{Mode, Model, TextCnn, TextCnnConfig};
/// use tch::{Device, Tensor, nn};
///
/// let vars = nn::VarStore::new(Device::Cpu);
/// let model = TextCnn::new(&vars.root(), &TextCnnConfig::default(), 1000, 2)?;
/// let ids = Tensor::from_slice2(&[[2i64, 3, 4, 0, 0, 0]]);
/// let batch = FieldBatch::from_words(ids, Some(Tensor::from_slice(&[1i64])))?;
/// let output = with_sparse_gradients(|| model.forward(&batch, Mode::Train))?;
/// output.loss.unwrap().total.backward();
/// assert!(vars.variables()["word_embedding.weight"].grad().is_sparse());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn with_sparse_gradients<T>(forward: impl FnOnce() -> T) -> T {
    /// Restores the previous value, even if `forward` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SPARSE_GRADIENTS.set(self.0);
        }
    }
    let _restore = Restore(SPARSE_GRADIENTS.replace(true));
    forward()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    #[test]
    fn dropout_removes_all_occurrences_of_words_and_scales_nothing() {
        tch::manual_seed(3);
        let vars = VarStore::new(Device::Cpu);
        let embedding = Embedding::random(&vars.root(), 2000, 4).unwrap();
        let ids = Tensor::arange(2000, (Kind::Int64, Device::Cpu)).repeat([3, 1]);
        let vectors = embedding.forward(&ids).unwrap();
        let dropped = embedding.dropout(&vectors, &ids, 0.3, Mode::Train).unwrap();
        assert_eq!(dropped.get(0), dropped.get(2));
        let is_zero = dropped.get(0).eq(0.0).all_dim(1, false);
        let share = is_zero.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        assert!((share - 0.3).abs() < 0.05, "{share}");
        let is_retained = is_zero.logical_not().unsqueeze(1).to_kind(Kind::Float);
        assert_eq!(dropped.get(0), vectors.get(0) * is_retained);
        assert_eq!(embedding.dropout(&vectors, &ids, 0.3, Mode::Eval).unwrap(), vectors);
        assert_eq!(embedding.dropout(&vectors, &ids, 0.0, Mode::Train).unwrap(), vectors);
    }
}
