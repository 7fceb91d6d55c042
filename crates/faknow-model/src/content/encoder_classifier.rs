//! A classifier of texts on an encoder: pooled hidden states and a linear or two-layer head.
//!
//! With a pretrained encoder as in Devlin et al., *BERT: Pre-training of Deep Bidirectional Transformers for Language
//! Understanding*, NAACL 2019, section 4.1; without one, a small BERT over words is trained from scratch.

use faknow_data::FieldBatch;
use faknow_data::text::Subwords;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Path, VarStore};

use super::TextSource;
use crate::encoder::{Encoder, EncoderConfig, LoraConfig, LoraTarget, Pooling, Precision, PretrainedEncoder};
use crate::layers::{Linear, dropout};
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`EncoderClassifier`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderClassifierConfig {
    /// How the hidden states of a text become one vector. Default mean.
    pub pooling: Pooling,
    /// The layers on the vector of a text. Default linear.
    pub head: ClassifierHead,
    /// Size of the hidden layer of the head `mlp`, at least 1. Default 256.
    pub head_size: i64,
    /// Dropout probability of the input of each layer of the head, from 0 to below 1. Default 0.1.
    pub dropout: f64,
    /// Which weights of a pretrained encoder are trained. Default all.
    pub tuning: Tuning,
    /// Precision of the matrix products of a pretrained encoder, also in prediction. Default single precision.
    pub precision: Precision,
    /// Factor of the learning rate of each layer of the encoder to that of the next one, above 0 to 1: the last layer has the
    /// learning rate of the head times this. Default 1.
    pub layer_decay: f64,
    /// Number of epochs after which the next layer of the encoder is trained too, from the last layer to the embeddings; at
    /// least 0. Default 0: all layers are trained from the start.
    pub unfreeze_epochs: f64,
    /// Rank of low-rank adapters, at least 1. Default 8.
    pub lora_rank: i64,
    /// Scale of low-rank adapters, divided by the rank; above 0. Default 16.
    pub lora_alpha: f64,
    /// Dropout probability of the input of low-rank adapters, from 0 to below 1. Default 0.05.
    pub lora_dropout: f64,
    /// The linear layers with low-rank adapters, at least one. Default: queries and values.
    pub lora_targets: Vec<LoraTarget>,
    /// Size of the hidden states without a pretrained encoder, a multiple of `n_heads`. Default 128.
    pub hidden_size: i64,
    /// Number of layers without a pretrained encoder, at least 1. Default 2.
    pub n_layers: i64,
    /// Number of attention heads without a pretrained encoder, at least 1. Default 4.
    pub n_heads: i64,
    /// Size of the feed-forward layers without a pretrained encoder, at least 1. Default 512.
    pub intermediate_size: i64,
    /// Maximum number of tokens of a text without a pretrained encoder, at least 1. Default 512.
    pub max_len: i64,
}

impl Default for EncoderClassifierConfig {
    fn default() -> Self {
        let lora = LoraConfig::default();
        Self {
            pooling: Pooling::Mean,
            head: ClassifierHead::Linear,
            head_size: 256,
            dropout: 0.1,
            tuning: Tuning::Full,
            precision: Precision::F32,
            layer_decay: 1.0,
            unfreeze_epochs: 0.0,
            lora_rank: lora.rank,
            lora_alpha: lora.alpha,
            lora_dropout: lora.dropout,
            lora_targets: lora.targets,
            hidden_size: 128,
            n_layers: 2,
            n_heads: 4,
            intermediate_size: 512,
            max_len: 512,
        }
    }
}

/// The layers on the vector of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierHead {
    /// A linear layer.
    Linear,
    /// A hidden layer and a linear layer: with tanh, as the head of RoBERTa, or on a frozen encoder with ReLU.
    Mlp,
}

/// Which weights of a pretrained encoder are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// None: only the head is trained, on vectors that are normalized to mean 0 and variance 1.
    Frozen,
    /// All.
    Full,
    /// Low-rank adapters, which are the only weights of the encoder in the model.
    Lora,
}

/// The weights of one layer of the encoder in the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderLayer {
    /// Pattern of their names, in which `*` matches any characters.
    pub pattern: String,
    /// Distance to the head: 1 for the last layer, the number of layers and 1 for the embeddings.
    pub depth: i64,
}

/// The classifier.
///
/// Parameters: `encoder.*` with Hugging Face's names, unless the encoder is frozen, or `encoder.*.lora_A` and `lora_B`;
/// `dense.*` of the head `mlp`; `classifier.*`.
#[derive(Debug)]
pub struct EncoderClassifier {
    encoder: Encoder,
    tuning: Tuning,
    pooling: Pooling,
    dense: Option<Linear>,
    classifier: Linear,
    dropout: f64,
    /// Whether texts are read as subwords of a pretrained encoder, else as words.
    reads_subwords: bool,
}

impl EncoderClassifierConfig {
    /// Returns the weights of each layer of the encoder that are trained, from the last layer to the embeddings: for learning
    /// rates that decrease with depth and for gradual unfreezing.
    pub fn layers(&self, source: &TextSource<'_>) -> Vec<EncoderLayer> {
        let encoder = match source {
            TextSource::Encoder(_) if self.tuning == Tuning::Frozen => return Vec::new(),
            TextSource::Encoder(encoder) => encoder.config().clone(),
            TextSource::Random { .. } | TextSource::Vectors(_) => self.scratch(1),
        };
        let is_adapted = matches!(source, TextSource::Encoder(_)) && self.tuning == Tuning::Lora;
        let layer =
            |(name, depth): (String, i64)| EncoderLayer { pattern: format!("encoder.{name}.*"), depth };
        let layers =
            (0..encoder.n_layers).rev().map(|i| (encoder.layer_name(i), encoder.n_layers - i)).map(layer);
        let embeddings =
            encoder.embedding_names().into_iter().map(|name| layer((name, encoder.n_layers + 1)));
        layers.chain(embeddings.filter(|_| !is_adapted)).collect()
    }

    /// Returns the settings of the encoder that is trained from scratch.
    fn scratch(&self, vocab_size: usize) -> EncoderConfig {
        EncoderConfig {
            hidden_size: self.hidden_size,
            n_layers: self.n_layers,
            n_heads: self.n_heads,
            intermediate_size: self.intermediate_size,
            n_positions: self.max_len,
            type_vocab_size: 0,
            precision: self.precision,
            ..EncoderConfig::bert(vocab_size as i64)
        }
    }

    fn lora(&self) -> LoraConfig {
        LoraConfig {
            rank: self.lora_rank,
            alpha: self.lora_alpha,
            dropout: self.lora_dropout,
            targets: self.lora_targets.clone(),
        }
    }

    fn check(&self, n_classes: usize) -> Result<()> {
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Config { model: NAME, name, expected: expected.into(), got })
        };
        if !(0.0..1.0).contains(&self.dropout) {
            return invalid("dropout", "from 0 to below 1", self.dropout.to_string());
        }
        if self.head_size < 1 {
            return invalid("head_size", "at least 1", self.head_size.to_string());
        }
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return invalid("layer_decay", "above 0 to 1", self.layer_decay.to_string());
        }
        if !(self.unfreeze_epochs >= 0.0 && self.unfreeze_epochs.is_finite()) {
            return invalid("unfreeze_epochs", "at least 0", self.unfreeze_epochs.to_string());
        }
        if self.max_len < 1 {
            return invalid("max_len", "at least 1", self.max_len.to_string());
        }
        if n_classes < 2 {
            return invalid("n_classes", "at least 2", n_classes.to_string());
        }
        self.lora().check()?;
        self.scratch(1).check()
    }
}

/// Name of the model in errors.
const NAME: &str = "encoder";

impl EncoderClassifier {
    /// Creates a classifier on a pretrained encoder or, for random word vectors, on an encoder that is trained from scratch; the
    /// size of the vectors is ignored in favor of `hidden_size`.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range; pretrained word vectors are not supported; the weights
    /// do not fit the encoder.
    pub fn new(
        path: &Path<'_>,
        config: &EncoderClassifierConfig,
        source: &TextSource<'_>,
        n_classes: usize,
    ) -> Result<Self> {
        config.check(n_classes)?;
        let encoder_path = path / "encoder";
        let outside = |pretrained: &PretrainedEncoder| {
            let mut vars = VarStore::new(path.device());
            vars.set_kind(path.kind());
            let encoder = pretrained.build_with(&vars.root(), config.precision)?;
            vars.freeze();
            Ok::<_, Error>(encoder)
        };
        let (encoder, tuning, reads_subwords) = match source {
            TextSource::Random { vocab_size, .. } => {
                (Encoder::new(&encoder_path, &config.scratch(*vocab_size))?, Tuning::Full, false)
            }
            TextSource::Vectors(_) => {
                return Err(Error::Config {
                    model: NAME,
                    name: "vectors",
                    expected: "a pretrained encoder or no word vectors".into(),
                    got: "pretrained word vectors".into(),
                });
            }
            TextSource::Encoder(pretrained) => {
                let encoder = match config.tuning {
                    Tuning::Full => pretrained.build_with(&encoder_path, config.precision)?,
                    Tuning::Frozen => outside(pretrained)?,
                    Tuning::Lora => outside(pretrained)?.with_adapters(&encoder_path, &config.lora())?,
                };
                (encoder, config.tuning, true)
            }
        };
        let size = encoder.hidden_size();
        let (dense, size) = match config.head {
            ClassifierHead::Linear => (None, size),
            ClassifierHead::Mlp => {
                (Some(Linear::new(&(path / "dense"), size, config.head_size)?), config.head_size)
            }
        };
        let classifier = Linear::new(&(path / "classifier"), size, n_classes as i64)?;
        let (pooling, dropout) = (config.pooling, config.dropout);
        Ok(Self { encoder, tuning, pooling, dense, classifier, dropout, reads_subwords })
    }

    /// Returns the encoder, with its adapters.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Computes the vector of each text, `[n, hidden_size]`.
    fn features(&self, batch: &FieldBatch, mode: Mode) -> Result<Tensor> {
        if !self.reads_subwords {
            let words = batch.words()?;
            let words = Subwords::new(words.ids.shallow_clone(), words.lengths.shallow_clone())?;
            return self.encoder.encode(&words, mode)?.pool(self.pooling);
        }
        if self.tuning != Tuning::Frozen {
            return self.encoder.encode(batch.subwords()?, mode)?.pool(self.pooling);
        }
        match &batch.encoded {
            Some(encoded) => self.pooling.apply(&encoded.vectors, Some(&encoded.mask()?)),
            None => tch::no_grad(|| self.encoder.encode(batch.subwords()?, Mode::Eval)?.pool(self.pooling)),
        }
    }

    /// Computes the logits `[n, n_classes]` of the vectors of texts, `[n, hidden_size]`.
    fn classify(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        let is_frozen = self.tuning == Tuning::Frozen;
        let mut features = match is_frozen {
            // The vectors of a frozen encoder are often so small that a head on them learns slowly.
            true => features.f_layer_norm(
                features.size()[1..].to_vec(),
                None::<&Tensor>,
                None::<&Tensor>,
                1e-5,
                false,
            )?,
            false => features.shallow_clone(),
        };
        features = dropout(&features, self.dropout, mode)?;
        if let Some(dense) = &self.dense {
            let hidden = dense.forward(&features)?;
            let hidden = if is_frozen { hidden.f_relu()? } else { hidden.f_tanh()? };
            features = dropout(&hidden, self.dropout, mode)?;
        }
        self.classifier.forward(&features)
    }
}

impl Model for EncoderClassifier {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        loss::classify(self.classify(&self.features(batch, mode)?, mode)?, batch)
    }

    fn as_embedding_model(&self) -> Option<&dyn EmbeddingModel> {
        Some(self)
    }

    fn text_encoder(&self) -> Option<&Encoder> {
        self.reads_subwords.then_some(&self.encoder)
    }
}

impl EmbeddingModel for EncoderClassifier {
    fn vectors(&self, ids: &Tensor) -> Result<Tensor> {
        self.encoder.word_vectors(ids)
    }

    fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        self.classify(&self.encoder.encode_vectors(vectors, Mode::Eval)?.pool(self.pooling)?, Mode::Eval)
    }

    fn is_traceable(&self) -> bool {
        false
    }

    fn padding_id(&self) -> i64 {
        self.encoder.config().pad_id
    }
}
