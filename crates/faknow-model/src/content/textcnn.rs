//! TextCNN: convolutions over word vectors, max-over-time pooling, a linear layer.
//!
//! Yoon Kim, *Convolutional Neural Networks for Sentence Classification*, EMNLP 2014. As in FaKnow, the output layer has no
//! norm constraint and the default optimizer is Adam; the paper uses Adadelta and a maximum norm of 3.

use faknow_data::FieldBatch;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::layers::{Activation, Embedding, Linear, TextCnnLayer};
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`TextCnn`]; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextCnnConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors. Default 300.
    pub embedding_size: i64,
    /// Number of filters per kernel size, at least 1. Default 100.
    pub n_filters: i64,
    /// Kernel sizes in words, each at least 1. Default 3, 4 and 5.
    pub kernel_sizes: Vec<i64>,
    /// Activation of the convolutions. Default ReLU.
    pub activation: Activation,
    /// Dropout probability of the features, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Whether the word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
}

impl Default for TextCnnConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            n_filters: 100,
            kernel_sizes: vec![3, 4, 5],
            activation: Activation::Relu,
            dropout: 0.5,
            freeze_embedding: false,
        }
    }
}

impl TextCnnConfig {
    /// Returns the number of padding columns after the longest text for which the result equals that of any longer padding:
    /// the size of the widest kernel, so every row has a window of padding only.
    pub fn extra_padding(&self) -> usize {
        self.kernel_sizes.iter().copied().max().and_then(|k| usize::try_from(k).ok()).unwrap_or(0)
    }
}

/// The TextCNN classifier.
///
/// Parameters: `word_embedding.weight`, `text_ccn_layer.convs.<i>.*` (FaKnow's spelling), `classifier.1.*`.
#[derive(Debug)]
pub struct TextCnn {
    embedding: Embedding,
    convolutions: TextCnnLayer,
    classifier: Linear,
    dropout: f64,
}

impl TextCnn {
    /// Creates a model over `vocab_size` words with random word vectors.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &TextCnnConfig, vocab_size: usize, n_classes: usize) -> Result<Self> {
        check(config, n_classes)?;
        let embedding =
            Embedding::random(&(path / "word_embedding"), vocab_size as i64, config.embedding_size)?;
        Self::build(path, config, embedding, config.embedding_size, n_classes)
    }

    /// Creates a model with pretrained word `vectors` `[vocab_size, size]`; `size` replaces `embedding_size`.
    ///
    /// # Errors
    /// As [`TextCnn::new`], and if `vectors` does not have two dimensions.
    pub fn with_vectors(
        path: &Path<'_>,
        config: &TextCnnConfig,
        vectors: &Tensor,
        n_classes: usize,
    ) -> Result<Self> {
        check(config, n_classes)?;
        let embedding = Embedding::from_pretrained(&(path / "word_embedding"), vectors)?;
        Self::build(path, config, embedding, vectors.size()[1], n_classes)
    }

    fn build(
        path: &Path<'_>,
        config: &TextCnnConfig,
        embedding: Embedding,
        embedding_size: i64,
        n_classes: usize,
    ) -> Result<Self> {
        let embedding = if config.freeze_embedding { embedding.freeze() } else { embedding };
        let convolutions = TextCnnLayer::new(
            &(path / "text_ccn_layer"),
            embedding_size,
            config.n_filters,
            &config.kernel_sizes,
            config.activation,
        )?;
        let n_features = config.n_filters * config.kernel_sizes.len() as i64;
        let classifier = Linear::new(&(path / "classifier" / "1"), n_features, n_classes as i64)?;
        Ok(Self { embedding, convolutions, classifier, dropout: config.dropout })
    }
}

impl Model for TextCnn {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let features = self.convolutions.forward_words(&self.embedding, &batch.words()?.ids)?; // [n, filters]
        let features = features.f_dropout(self.dropout, mode.is_train())?;
        loss::classify(self.classifier.forward(&features)?, batch)
    }

    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        Some(self)
    }
}

impl EmbeddingModel for TextCnn {
    fn vectors(&self, ids: &Tensor) -> Result<Tensor> {
        self.embedding.forward(ids)
    }

    fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        self.classifier.forward(&self.convolutions.forward(vectors)?)
    }
}

fn check(config: &TextCnnConfig, n_classes: usize) -> Result<()> {
    let invalid = |name, expected: &str, got: String| {
        Err(Error::Config { model: "TextCNN", name, expected: expected.into(), got })
    };
    if !(0.0..1.0).contains(&config.dropout) {
        return invalid("dropout", "from 0 to below 1", config.dropout.to_string());
    }
    if config.embedding_size < 1 {
        return invalid("embedding_size", "at least 1", config.embedding_size.to_string());
    }
    if n_classes < 2 {
        return invalid("n_classes", "at least 2", n_classes.to_string());
    }
    Ok(())
}
