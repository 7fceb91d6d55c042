//! The [`Model`] trait: a forward pass that returns the logits and, for labeled batches, the loss.

use faknow_data::Batch;
use faknow_data::Rng;
use faknow_data::graph::NodeFeatures;
use faknow_data::text::PADDING;
use tch::Tensor;

use crate::Result;
use crate::encoder::Encoder;

/// A model: maps a batch to class logits.
///
/// The weights are stored in the `VarStore` whose path the model was built with; the model holds handles to them.
///
/// ```
/// use faknow_data::FieldBatch;
/// use faknow_model::{Mode, Model, Output, Result, loss};
/// use tch::{Device, Kind, Tensor, nn};
///
/// /// The mean of the word vectors and a linear layer.
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
    /// The batch type.
    type Batch: Batch;

    /// Computes the logits of a batch and, iff it has labels, the loss.
    ///
    /// # Errors
    /// The batch does not fit the model, or libtorch rejects an operation.
    fn forward(&self, batch: &Self::Batch, mode: Mode) -> Result<Output>;

    /// Returns the model as an [`EmbeddingModel`], which exports need, and explanations of texts by default. Default: `None`, for
    /// models that read more than words.
    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        None
    }

    /// Returns the model as a function of the word vectors of the text of `batch`, which has one sample, whose other fields are
    /// fixed; explanations of texts need it. Default: [`as_embedding_model`](Self::as_embedding_model), for models that read
    /// nothing else.
    fn embedding_model_of<'a>(&'a self, batch: &'a Self::Batch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let _ = batch;
        self.as_embedding_model().map(|model| Box::new(model) as Box<dyn EmbeddingModel + 'a>)
    }

    /// Returns the loss of a part of the model that is trained with a separate optimizer, on each batch before the rest: a scalar,
    /// the mean over the samples of the batch that it applies to, in [`Mode::Train`]. Default: `None`, also for a batch without such
    /// samples.
    ///
    /// # Errors
    /// The batch does not fit the model, or libtorch rejects an operation.
    fn auxiliary_loss(&self, batch: &Self::Batch) -> Result<Option<Tensor>> {
        let _ = batch;
        Ok(None)
    }

    /// Returns the model as a function of the pixels of the image of `batch`, which has one sample, whose other fields are fixed;
    /// explanations of images need it. Default: `None`, for models that do not read images.
    fn image_model_of<'a>(&'a self, batch: &'a Self::Batch) -> Option<Box<dyn ImageModel + 'a>> {
        let _ = batch;
        None
    }

    /// Returns the node features of `batch`, which explanations of trees need. Default: `None`, for models that do not read
    /// trees.
    fn node_features<'a>(&self, batch: &'a Self::Batch) -> Option<&'a NodeFeatures> {
        let _ = batch;
        None
    }

    /// Returns the pass over the training data that the model needs before its first update, without gradients. Default: `None`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    fn training_data_pass(&self) -> Result<Option<Box<dyn TrainingDataPass<Self::Batch> + '_>>> {
        Ok(None)
    }

    /// Updates buffers that are not trained by gradients, such as a memory; called after each training step, with its batch and
    /// without gradients. Default: does nothing.
    ///
    /// # Errors
    /// The batch does not fit the model, or libtorch rejects an operation.
    fn after_step(&self, batch: &Self::Batch) -> Result<()> {
        let _ = batch;
        Ok(())
    }

    /// Returns the weights of n-grams if the logits are their weighted sums, which makes explanations exact. Default: `None`.
    fn ngram_weights(&self) -> Option<NGramWeights<'_>> {
        None
    }

    /// Returns the pretrained encoder through which the model reads texts, as trained, with its adapters. Default: `None`.
    fn text_encoder(&self) -> Option<&Encoder> {
        None
    }
}

/// A pass over the training data that initializes buffers of a model.
pub trait TrainingDataPass<B> {
    /// Adds a batch.
    ///
    /// # Errors
    /// The batch does not fit the model, or libtorch rejects an operation.
    fn add(&mut self, batch: &B) -> Result<()>;

    /// Initializes the buffers; `rng` is a function of the seed of the run.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    fn finish(&mut self, rng: &mut Rng) -> Result<()>;
}

/// The parameters of a model whose logits are the bias plus the sum of the weights of the n-grams of a text, each multiplied by its
/// value.
#[derive(Debug, Clone, Copy)]
pub struct NGramWeights<'a> {
    /// Weights `[n_features, n_classes]`.
    pub weight: &'a Tensor,
    /// Bias `[n_classes]`.
    pub bias: &'a Tensor,
}

/// A model whose logits depend only on the word vectors of a text, or a model with other fields that are fixed.
pub trait EmbeddingModel {
    /// Returns the word vectors `[n, len, size]` of token ids i64 `[n, len]`.
    ///
    /// # Errors
    /// A token id is not below the number of words.
    fn vectors(&self, ids: &Tensor) -> Result<Tensor>;

    /// Returns the logits `[n, n_classes]` of word vectors `[n, len, size]`, as in [`Mode::Eval`].
    ///
    /// # Errors
    /// The texts are too short for the model.
    fn logits(&self, vectors: &Tensor) -> Result<Tensor>;

    /// Returns whether the operations of [`logits`](Self::logits) do not depend on the number and length of texts and padding
    /// does not change its results, so that they can be traced to a program. Default: true.
    fn is_traceable(&self) -> bool {
        true
    }

    /// Returns the token id of padding, whose vectors are the baseline of explanations. Default: that of words.
    fn padding_id(&self) -> i64 {
        i64::from(PADDING)
    }
}

/// A model as a function of the pixels of one image, whose other fields are fixed.
pub trait ImageModel {
    /// Returns the normalized pixels of the image, floats `[1, 3, height, width]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    fn pixels(&self) -> Result<Tensor>;

    /// Returns the logits `[n, n_classes]` of normalized pixels `[n, 3, height, width]`, as in [`Mode::Eval`].
    ///
    /// # Errors
    /// The images are too small for the model.
    fn logits(&self, pixels: &Tensor) -> Result<Tensor>;
}

impl EmbeddingModel for &dyn EmbeddingModel {
    fn vectors(&self, ids: &Tensor) -> Result<Tensor> {
        (**self).vectors(ids)
    }

    fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        (**self).logits(vectors)
    }

    fn is_traceable(&self) -> bool {
        (**self).is_traceable()
    }

    fn padding_id(&self) -> i64 {
        (**self).padding_id()
    }
}

impl<M: Model + ?Sized> Model for Box<M> {
    type Batch = M::Batch;

    fn forward(&self, batch: &Self::Batch, mode: Mode) -> Result<Output> {
        (**self).forward(batch, mode)
    }

    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        (**self).as_embedding_model()
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a Self::Batch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        (**self).embedding_model_of(batch)
    }

    fn auxiliary_loss(&self, batch: &Self::Batch) -> Result<Option<Tensor>> {
        (**self).auxiliary_loss(batch)
    }

    fn image_model_of<'a>(&'a self, batch: &'a Self::Batch) -> Option<Box<dyn ImageModel + 'a>> {
        (**self).image_model_of(batch)
    }

    fn node_features<'a>(&self, batch: &'a Self::Batch) -> Option<&'a NodeFeatures> {
        (**self).node_features(batch)
    }

    fn training_data_pass(&self) -> Result<Option<Box<dyn TrainingDataPass<Self::Batch> + '_>>> {
        (**self).training_data_pass()
    }

    fn after_step(&self, batch: &Self::Batch) -> Result<()> {
        (**self).after_step(batch)
    }

    fn ngram_weights(&self) -> Option<NGramWeights<'_>> {
        (**self).ngram_weights()
    }

    fn text_encoder(&self) -> Option<&Encoder> {
        (**self).text_encoder()
    }
}

/// The mode of layers such as dropout and batch normalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Training: dropout is active, batch normalization uses the batch.
    Train,
    /// Evaluation: deterministic.
    Eval,
}

impl Mode {
    /// Returns whether this is [`Mode::Train`].
    pub fn is_train(self) -> bool {
        self == Self::Train
    }
}

/// The result of a forward pass.
#[derive(Debug)]
pub struct Output {
    /// Class logits `[n_samples, n_classes]`; their softmax is the class scores.
    pub logits: Tensor,
    /// The loss, iff the batch has labels.
    pub loss: Option<Loss>,
}

/// The loss of a batch and its parts.
#[derive(Debug)]
pub struct Loss {
    /// The loss that is minimized: a scalar, the mean over the samples of the batch.
    pub total: Tensor,
    /// The parts by name, scalars, for logging; empty if there is only one. The classification loss is named
    /// [`Loss::CLASSIFICATION`] and is a summand of the total, without a factor.
    pub parts: Vec<(&'static str, Tensor)>,
}

impl Loss {
    /// Name of the part that a [`Criterion`](crate::Criterion) replaces.
    pub const CLASSIFICATION: &'static str = "classification";

    /// Creates a loss without parts.
    pub fn single(total: Tensor) -> Self {
        Self { total, parts: Vec::new() }
    }
}

impl From<Tensor> for Loss {
    fn from(total: Tensor) -> Self {
        Self::single(total)
    }
}
