//! M3FEND: semantic, emotion and style experts, their interactions, and a memory of the domains.
//!
//! Zhu et al., *Memory-Guided Multi-View Multi-Domain Fake News Detection*, TKDE 2022. As in the authors' code, the memory is
//! initialized by k-means over a pass of the training data and written after each update of the weights; unlike theirs, the
//! weights of the interactions are trained, and the memory is saved with the weights. Views without input are left out.

use faknow_data::{FieldBatch, Rng};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::m3fend_head::{M3fendHead, M3fendSizes, Views};
use super::one_text::OneText;
use super::text_layer::{TextLayer, TextSettings};
use super::{TextSource, TokenVectors, check};
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result, TrainingDataPass, loss};

/// Hyperparameters of M3FEND; the defaults are the paper's, except for `embedding_dropout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct M3fendConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors and encoders. Default 300.
    pub embedding_size: i64,
    /// Probability from 0 to below 1 that all occurrences of a word in a batch have the vector 0 in training; an encoder has its
    /// own dropout. Default 0.4: without, these models memorize small datasets within three epochs.
    pub embedding_dropout: f64,
    /// Whether word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Whether an encoder is trained, too, rather than frozen. Default false.
    pub train_encoder: bool,
    /// Number of experts on the text, at least 1. Default 7.
    pub n_semantic_experts: i64,
    /// Number of experts on the emotion features, at least 1; ignored without such features. Default 7.
    pub n_emotion_experts: i64,
    /// Number of experts on the style features, at least 1; ignored without such features. Default 2.
    pub n_style_experts: i64,
    /// Number of filters of a semantic expert per kernel size, at least 1. Default 64.
    pub n_filters: i64,
    /// Kernel sizes of the semantic experts in tokens, each at least 1. Default 1, 2, 3, 5 and 10.
    pub kernel_sizes: Vec<i64>,
    /// Sizes of the hidden layers of the other experts, each at least 1; their last layer has the size of a semantic expert's
    /// features. Default 256.
    pub expert_hidden_sizes: Vec<i64>,
    /// Number of interactions of the experts, at least 1. Default 50.
    pub n_interactions: i64,
    /// Number of slots of the memory per domain, at least 1. Default 10.
    pub n_slots: i64,
    /// Sizes of the hidden layers of the classifier, each at least 1; the last is also that of the gate. Default 384.
    pub hidden_sizes: Vec<i64>,
    /// Dropout probability of the hidden layers, from 0 to below 1. Default 0.2.
    pub dropout: f64,
    /// Whether the semantic experts read padding as if it were tokens, as FaKnow's and the authors' do. Default false.
    pub faithful: bool,
}

impl Default for M3fendConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            n_semantic_experts: 7,
            n_emotion_experts: 7,
            n_style_experts: 2,
            n_filters: 64,
            kernel_sizes: vec![1, 2, 3, 5, 10],
            expert_hidden_sizes: vec![256],
            n_interactions: 50,
            n_slots: 10,
            hidden_sizes: vec![384],
            dropout: 0.2,
            faithful: false,
        }
    }
}

impl M3fendConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: "M3FEND",
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: self.train_encoder,
            faithful: self.faithful,
        }
    }

    pub(super) fn validate(&self, sizes: M3fendSizes) -> Result<()> {
        let numbers = [
            ("n_semantic_experts", self.n_semantic_experts),
            ("n_emotion_experts", self.n_emotion_experts),
            ("n_style_experts", self.n_style_experts),
            ("n_filters", self.n_filters),
            ("n_interactions", self.n_interactions),
            ("n_slots", self.n_slots),
            ("n_domains", sizes.n_domains as i64),
        ];
        let lists = [
            ("kernel_sizes", &*self.kernel_sizes),
            ("expert_hidden_sizes", &*self.expert_hidden_sizes),
            ("hidden_sizes", &*self.hidden_sizes),
        ];
        check("M3FEND", &numbers, &lists, self.dropout, sizes.n_classes)
    }
}

/// The M3FEND classifier.
///
/// Parameters: `word_embedding.weight`, or `bert.*` of an encoder that is trained, and those of [`M3fendHead`].
#[derive(Debug)]
pub struct M3fend {
    text: TextLayer,
    head: M3fendHead,
    emotion: Vec<(String, i64)>,
    style: Vec<(String, i64)>,
}

impl M3fend {
    /// FaKnow's names of the emotion features: of the post, of its comments, and their difference.
    pub const EMOTION_FEATURES: [&str; 3] = ["content_emotion", "comments_emotion", "emotion_gap"];

    /// FaKnow's names of the style features.
    pub const STYLE_FEATURES: [&str; 1] = ["style_feature"];

    /// Creates a model for posts of `n_domains` domains, with token vectors from `source`.
    ///
    /// `features` are the named features of the posts, with their sizes; those of emotion and style are read, and a view without
    /// any is left out.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &M3fendConfig,
        source: &TextSource<'_>,
        features: &[(String, usize)],
        n_domains: usize,
        n_classes: usize,
    ) -> Result<Self> {
        let text = TextLayer::new(path, ["word_embedding", "bert"], source, config.text_settings())?;
        let named = |names: &[&str]| -> Vec<(String, i64)> {
            let size = |name: &&str| features.iter().find(|(feature, _)| feature == name);
            names.iter().filter_map(size).map(|(name, size)| (name.clone(), *size as i64)).collect()
        };
        let (emotion, style) = (named(&Self::EMOTION_FEATURES), named(&Self::STYLE_FEATURES));
        let total = |features: &[(String, i64)]| features.iter().map(|(_, size)| size).sum();
        let sizes = M3fendSizes {
            text: text.size(),
            emotion: total(&emotion),
            style: total(&style),
            n_domains,
            n_classes,
        };
        Ok(Self { text, head: M3fendHead::new(path, config, sizes)?, emotion, style })
    }

    fn views(&self, tokens: TokenVectors, batch: &FieldBatch) -> Result<Views> {
        let features = |names: &[(String, i64)]| -> Result<Option<Tensor>> {
            let feature = |(name, size): &(String, i64)| {
                let feature = batch.feature(name)?;
                if feature.size().get(1..) != Some(&[*size]) {
                    return Err(Error::Batch {
                        model: "M3FEND",
                        expected: format!("feature `{name}` with {size} values per post"),
                        got: format!("shape {:?}", feature.size()),
                    });
                }
                Ok(feature.f_to_kind(tokens.vectors.kind())?)
            };
            let parts: Vec<Tensor> = names.iter().map(feature).collect::<Result<_>>()?;
            Ok(if parts.is_empty() { None } else { Some(Tensor::f_cat(&parts, 1)?) })
        };
        let (emotion, style) = (features(&self.emotion)?, features(&self.style)?);
        Ok(Views { emotion, style, domains: batch.domains()?.shallow_clone(), tokens })
    }

    /// Returns the posts of a batch as the memory describes them, without noise.
    fn describe(&self, batch: &FieldBatch) -> Result<Tensor> {
        self.head.describe(&self.views(self.text.forward(batch, None, Mode::Eval)?, batch)?)
    }
}

impl Model for M3fend {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let views = self.views(self.text.forward(batch, None, mode)?, batch)?;
        loss::classify(self.head.logits(&views, mode)?, batch)
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let logits = |tokens, batch: &FieldBatch| self.head.logits(&self.views(tokens, batch)?, Mode::Eval);
        Some(Box::new(OneText::new(self.text.input(), batch, logits)))
    }

    /// Initializes the memory, unless it has been, for example by loaded weights.
    fn training_data_pass(&self) -> Result<Option<Box<dyn TrainingDataPass<FieldBatch> + '_>>> {
        let pass = MemoryPass { model: self, posts: Vec::new(), domains: Vec::new() };
        Ok(if self.head.memory().is_empty()? { Some(Box::new(pass)) } else { None })
    }

    /// Writes the batch to the memory.
    fn after_step(&self, batch: &FieldBatch) -> Result<()> {
        self.head.memory().write(&self.describe(batch)?, batch.domains()?)
    }
}

/// The pass that initializes the memory.
struct MemoryPass<'a> {
    model: &'a M3fend,
    posts: Vec<Tensor>,
    domains: Vec<Tensor>,
}

impl TrainingDataPass<FieldBatch> for MemoryPass<'_> {
    fn add(&mut self, batch: &FieldBatch) -> Result<()> {
        self.posts.push(self.model.describe(batch)?);
        self.domains.push(batch.domains()?.shallow_clone());
        Ok(())
    }

    fn finish(&mut self, rng: &mut Rng) -> Result<()> {
        let (posts, domains) = (Tensor::f_cat(&self.posts, 0)?, Tensor::f_cat(&self.domains, 0)?);
        self.model.head.memory().initialize(&posts, &domains, rng)
    }
}
