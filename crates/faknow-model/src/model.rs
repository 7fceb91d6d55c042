//! The model contract: one forward pass that yields the logits and, for labelled batches, the losses.

use faknow_data::Batch;
use tch::Tensor;

use crate::Result;

/// A detector: turns a batch into class logits.
///
/// The weights live in the `VarStore` whose path the model was built from; the model holds handles to them.
///
/// ```
/// use faknow_data::TextBatch;
/// use faknow_model::{Mode, Model, Output, Result, loss};
/// use tch::{Device, Kind, Tensor, nn};
///
/// /// The mean of the word vectors, and a linear layer.
/// struct BagOfWords { embedding: Tensor, weight: Tensor }
///
/// impl Model for BagOfWords {
///     type Batch = TextBatch;
///     fn forward(&self, batch: &TextBatch, _: Mode) -> Result<Output> {
///         let words = Tensor::f_embedding(&self.embedding, &batch.tokens, 0, false, false)?; // [n, len, dim]
///         let mean = words.f_mean_dim(Some([1].as_slice()), false, Kind::Float)?;
///         loss::classify(mean.f_matmul(&self.weight)?, batch)
///     }
/// }
///
/// let vars = nn::VarStore::new(Device::Cpu);
/// let path = vars.root();
/// let model = BagOfWords { embedding: path.randn("embedding", &[10, 4], 0.0, 0.1), weight: path.zeros("weight", &[4, 2]) };
/// let batch = TextBatch::new(Tensor::from_slice(&[2i64, 3, 4]).view([1, 3]), Some(Tensor::from_slice(&[1i64])))?;
/// let output = model.forward(&batch, Mode::Eval)?;
/// assert_eq!(output.logits.size(), [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Model: Send {
    /// What the model reads.
    type Batch: Batch;

    /// Logits of a batch, and its losses iff the batch has labels.
    ///
    /// # Errors
    /// The batch does not fit the model, or libtorch refuses an operation.
    fn forward(&self, batch: &Self::Batch, mode: Mode) -> Result<Output>;

    /// The model as one of word vectors, which explanations and exports need; `None` if it is none.
    fn of_words(&self) -> Option<&dyn OfWords> {
        None
    }
}

/// A model whose logits come from the vectors of a text's words alone.
pub trait OfWords {
    /// Word numbers i64 `[n, len]` to vectors `[n, len, size]`.
    ///
    /// # Errors
    /// A word number is not below the number of words.
    fn vectors(&self, tokens: &Tensor) -> Result<Tensor>;

    /// Vectors `[n, len, size]` to logits `[n, n_classes]`, as in [`Mode::Eval`], by operations that do not depend on `n` and `len`.
    ///
    /// # Errors
    /// The texts are shorter than the model can read.
    fn logits(&self, vectors: &Tensor) -> Result<Tensor>;
}

impl<M: Model + ?Sized> Model for Box<M> {
    type Batch = M::Batch;

    fn forward(&self, batch: &Self::Batch, mode: Mode) -> Result<Output> {
        (**self).forward(batch, mode)
    }

    fn of_words(&self) -> Option<&dyn OfWords> {
        (**self).of_words()
    }
}

/// Whether layers that differ between the two (dropout, batch norm) learn or apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Training: dropout is active.
    Train,
    /// Evaluation and use: nothing is random.
    Eval,
}

impl Mode {
    /// Whether this is [`Mode::Train`].
    pub fn is_train(self) -> bool {
        self == Self::Train
    }
}

/// What a forward pass yields.
#[derive(Debug)]
pub struct Output {
    /// Class logits `[n_samples, n_classes]`: their softmax gives the class scores.
    pub logits: Tensor,
    /// The losses, iff the batch has labels.
    pub loss: Option<Loss>,
}

/// The loss of a batch: what is minimised, and what it is made of.
#[derive(Debug)]
pub struct Loss {
    /// What backward starts from: a scalar, the mean over the samples of the batch.
    pub total: Tensor,
    /// The parts by name, scalars, for the logs; empty where the loss is one thing. What comes from the logits and the
    /// labels alone is named [`Loss::CLASSIFICATION`], and is part of the total as it stands.
    pub parts: Vec<(&'static str, Tensor)>,
}

impl Loss {
    /// The name of the part that a [`Criterion`](crate::Criterion) can take the place of.
    pub const CLASSIFICATION: &'static str = "classification";

    /// A loss of one part.
    pub fn single(total: Tensor) -> Self {
        Self { total, parts: Vec::new() }
    }
}

impl From<Tensor> for Loss {
    fn from(total: Tensor) -> Self {
        Self::single(total)
    }
}
