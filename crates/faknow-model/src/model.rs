//! The model contract: one forward pass that yields the logits and, for labeled batches, the losses.

use faknow_data::Batch;
use faknow_data::graph::NodeFeatures;
use tch::Tensor;

use crate::Result;

/// A detector: turns a batch into class logits.
///
/// The weights live in the `VarStore` whose path the model was built from; the model holds handles to them.
///
/// ```
/// use faknow_data::FieldBatch;
/// use faknow_model::{Mode, Model, Output, Result, loss};
/// use tch::{Device, Kind, Tensor, nn};
///
/// /// The mean of the word vectors, and a linear layer.
/// struct BagOfWords { embedding: Tensor, weight: Tensor }
///
/// impl Model for BagOfWords {
///     type Batch = FieldBatch;
///     fn forward(&self, batch: &FieldBatch, _: Mode) -> Result<Output> {
///         let words = Tensor::f_embedding(&self.embedding, &batch.words()?.ids, 0, false, false)?; // [n, len, dim]
///         let mean = words.f_mean_dim(Some([1].as_slice()), false, Kind::Float)?;
///         loss::classify(mean.f_matmul(&self.weight)?, batch)
///     }
/// }
///
/// let vars = nn::VarStore::new(Device::Cpu);
/// let path = vars.root();
/// let model = BagOfWords { embedding: path.randn("embedding", &[10, 4], 0.0, 0.1), weight: path.zeros("weight", &[4, 2]) };
/// let batch = FieldBatch::from_words(Tensor::from_slice(&[2i64, 3, 4]).view([1, 3]), Some(Tensor::from_slice(&[1i64])))?;
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

    /// Returns the model as one of word vectors, which explanations of texts and exports need. Default: `None`, for a model
    /// that reads anything besides words.
    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        None
    }

    /// Returns the features of nodes in `batch` that the logits depend on, which explanations of trees need. Default: `None`,
    /// for a model that reads no trees.
    fn node_features<'a>(&self, batch: &'a Self::Batch) -> Option<&'a NodeFeatures> {
        let _ = batch;
        None
    }
}

/// A model whose logits come from the vectors of a text's words alone.
pub trait EmbeddingModel {
    /// Returns the vectors `[n, len, size]` of token ids i64 `[n, len]`.
    ///
    /// # Errors
    /// A token id is not below the number of words.
    fn vectors(&self, ids: &Tensor) -> Result<Tensor>;

    /// Returns the logits `[n, n_classes]` of vectors `[n, len, size]`, as in [`Mode::Eval`], by operations that do not depend on `n` and `len`.
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

    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        (**self).as_embedding_model()
    }

    fn node_features<'a>(&self, batch: &'a Self::Batch) -> Option<&'a NodeFeatures> {
        (**self).node_features(batch)
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
    /// Returns whether this is [`Mode::Train`].
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

/// The loss of a batch: what is minimized, and what it is made of.
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

    /// Returns a loss of one part.
    pub fn single(total: Tensor) -> Self {
        Self { total, parts: Vec::new() }
    }
}

impl From<Tensor> for Loss {
    fn from(total: Tensor) -> Self {
        Self::single(total)
    }
}
