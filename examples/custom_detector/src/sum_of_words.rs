//! A custom model: the sum of word vectors and a linear layer.

use faknow::data::FieldBatch;
use faknow::data::text::PADDING;
use faknow::model::layers::{Embedding, Linear};
use faknow::model::{EmbeddingModel, Mode, Model, Output, Result, loss};
use faknow::tch::{Tensor, nn::Path};

/// The sum of word vectors, followed by a linear layer.
pub struct SumOfWords {
    embedding: Embedding,
    classifier: Linear,
}

impl SumOfWords {
    /// Creates the model with word vectors of dimension `size`.
    pub fn new(path: &Path<'_>, size: i64, vocab_size: usize, n_classes: usize) -> Result<Self> {
        Ok(Self {
            embedding: Embedding::random(&(path / "embedding"), vocab_size as i64, size)?,
            classifier: Linear::new(&(path / "classifier"), size, n_classes as i64)?,
        })
    }
}

impl Model for SumOfWords {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, _: Mode) -> Result<Output> {
        loss::classify(self.logits(&self.vectors(&batch.words()?.ids)?)?, batch)
    }

    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        Some(self)
    }
}

/// Splits the model at the word vectors, as explanations and exports require.
impl EmbeddingModel for SumOfWords {
    fn vectors(&self, ids: &Tensor) -> Result<Tensor> {
        let is_word = ids.f_ne(i64::from(PADDING))?.f_unsqueeze(-1)?; // [n, len, 1]
        Ok(self.embedding.forward(ids)?.f_mul(&is_word)?) // [n, len, size]
    }

    fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&vectors.f_sum_dim_intlist([1].as_slice(), false, vectors.kind())?)
    }
}
