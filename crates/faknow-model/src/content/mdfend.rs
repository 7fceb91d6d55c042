//! MDFEND: convolution experts, mixed by the domain of a post.
//!
//! Nan et al., *MDFEND: Multi-domain Fake News Detection*, CIKM 2021. As in the authors' code, the gate reads the domain's
//! embedding and an attention-pooled text. Unlike FaKnow's, the experts ignore padding, any number of classes is supported, and
//! a post of an unknown domain is gated by the mean of all domains.

use faknow_data::FieldBatch;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::one_text::OneText;
use super::text_layer::{TextLayer, TextSettings};
use super::{TextSource, TokenVectors, check, class_logits, n_outputs};
use crate::layers::{
    ConvolutionShape, DomainEmbedding, Linear, MaskAttention, Mlp, TextExpertSizes, TextExperts,
};
use crate::{EmbeddingModel, Mode, Model, Output, Result, loss};

/// Hyperparameters of MDFEND; the defaults are the paper's, except for `embedding_dropout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MdfendConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors and encoders. Default 300.
    pub embedding_size: i64,
    /// Probability from 0 to below 1 that all occurrences of a word in a batch have the vector 0 in training; an encoder has its
    /// own dropout. Default 0.4: without, these models memorize small datasets within three epochs.
    pub embedding_dropout: f64,
    /// Whether word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Whether an encoder is trained, too, rather than frozen. Default false.
    pub train_encoder: bool,
    /// Number of experts, at least 1. Default 5.
    pub n_experts: i64,
    /// Number of filters of an expert per kernel size, at least 1. Default 64.
    pub n_filters: i64,
    /// Kernel sizes of the experts in tokens, each at least 1. Default 1, 2, 3, 5 and 10.
    pub kernel_sizes: Vec<i64>,
    /// Sizes of the hidden layers of the classifier, each at least 1; the last is also that of the gate. Default 384.
    pub hidden_sizes: Vec<i64>,
    /// Dropout probability of the hidden layers, from 0 to below 1. Default 0.2.
    pub dropout: f64,
    /// Whether the experts read padding as if it were tokens, as FaKnow's and the authors' do. Default false.
    pub faithful: bool,
}

impl Default for MdfendConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            n_experts: 5,
            n_filters: 64,
            kernel_sizes: vec![1, 2, 3, 5, 10],
            hidden_sizes: vec![384],
            dropout: 0.2,
            faithful: false,
        }
    }
}

impl MdfendConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: "MDFEND",
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: self.train_encoder,
            faithful: self.faithful,
        }
    }

    fn validate(&self, n_domains: usize, n_classes: usize) -> Result<()> {
        let sizes = [("n_experts", self.n_experts), ("n_filters", self.n_filters)];
        let lists = [("kernel_sizes", &*self.kernel_sizes), ("hidden_sizes", &*self.hidden_sizes)];
        check("MDFEND", &sizes, &lists, self.dropout, n_classes)?;
        check("MDFEND", &[("n_domains", n_domains as i64)], &[], self.dropout, n_classes)
    }
}

/// The MDFEND classifier.
///
/// Parameters: `word_embedding.weight`, or `bert.*` of an encoder that is trained, and those of [`MdfendHead`].
#[derive(Debug)]
pub struct Mdfend {
    text: TextLayer,
    head: MdfendHead,
}

impl Mdfend {
    /// Creates a model for posts of `n_domains` domains, with token vectors from `source`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &MdfendConfig,
        source: &TextSource<'_>,
        n_domains: usize,
        n_classes: usize,
    ) -> Result<Self> {
        let text = TextLayer::new(path, ["word_embedding", "bert"], source, config.text_settings())?;
        let head = MdfendHead::new(path, config, text.size(), n_domains, n_classes)?;
        Ok(Self { text, head })
    }

    fn logits(&self, tokens: &TokenVectors, batch: &FieldBatch, mode: Mode) -> Result<Tensor> {
        self.head.logits(tokens, batch.domains()?, mode)
    }
}

impl Model for Mdfend {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        loss::classify(self.logits(&self.text.forward(batch, None, mode)?, batch, mode)?, batch)
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let logits = |tokens, batch: &FieldBatch| self.logits(&tokens, batch, Mode::Eval);
        Some(Box::new(OneText::new(self.text.input(), batch, logits)))
    }
}

/// The layers of MDFEND on token vectors.
///
/// Parameters: `domain_embedder.weight`, `attention.attention_layer.*`, `gate.0.*`, `gate.2.*`,
/// `experts.<i>.convs.<j>.*`, `classifier.mlp.*`.
#[derive(Debug)]
pub struct MdfendHead {
    domains: DomainEmbedding,
    attention: MaskAttention,
    gate: [Linear; 2],
    experts: TextExperts,
    classifier: Mlp,
    faithful: bool,
}

impl MdfendHead {
    /// Creates the layers for token vectors of length `size`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &MdfendConfig,
        size: i64,
        n_domains: usize,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_domains, n_classes)?;
        let gate_size = config.hidden_sizes.last().copied().unwrap_or(1);
        let sizes = TextExpertSizes { size, n_filters: config.n_filters, kernel_sizes: &config.kernel_sizes };
        let experts: Vec<Path<'_>> = (0..config.n_experts).map(|i| path / "experts" / i).collect();
        let gate = path / "gate";
        let n_outputs = Some(n_outputs(n_classes));
        Ok(Self {
            domains: DomainEmbedding::new(&(path / "domain_embedder"), n_domains as i64, size)?,
            attention: MaskAttention::new(&(path / "attention"), size)?,
            gate: [
                Linear::new(&(&gate / 0), 2 * size, gate_size)?,
                Linear::new(&(&gate / 2), gate_size, config.n_experts)?,
            ],
            experts: TextExperts::new(&experts, sizes, ConvolutionShape::TwoDimensional)?,
            classifier: Mlp::new(
                &(path / "classifier"),
                sizes.n_features(),
                &config.hidden_sizes,
                n_outputs,
                config.dropout,
            )?,
            faithful: config.faithful,
        })
    }

    /// Returns the logits `[n, n_classes]` of texts and of their domains i64 `[n]`, -1 for unknown ones.
    ///
    /// # Errors
    /// The shapes do not fit; a domain is not below the number of domains.
    pub fn logits(&self, tokens: &TokenVectors, domains: &Tensor, mode: Mode) -> Result<Tensor> {
        let text = self.attention.forward(&tokens.vectors, &tokens.mask)?; // [n, size]
        let [first, second] = &self.gate;
        let gate = first.forward(&Tensor::f_cat(&[self.domains.forward(domains)?, text], 1)?)?.f_relu()?;
        let gate = second.forward(&gate)?.f_softmax(1, None::<Kind>)?.f_unsqueeze(1)?; // [n, 1, n_experts]
        let features = tokens.features(&self.experts, self.faithful)?;
        let mixed = gate.f_matmul(&features)?.f_squeeze_dim(1)?; // [n, n_features]
        class_logits(self.classifier.forward(&mixed, mode)?)
    }
}
