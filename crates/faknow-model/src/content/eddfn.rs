//! EDDFN: domain-specific and domain-independent halves of an embedding of the news.
//!
//! Silva et al., *Embracing Domain Differences in Fake News: Cross-domain Fake News Detection using Multi-modal Data*, AAAI
//! 2021. The first half of the embedding has to predict the domain; the second half must not, which a reversed gradient of its
//! discriminator learns in the same step (the authors alternate between the discriminators and the rest).

use faknow_data::FieldBatch;
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Reduction, Tensor};

use super::one_text::OneText;
use super::{TextInput, TextSource, TokenVectors, check as check_sizes, class_logits, n_outputs};
use crate::encoder::Pooling;
use crate::layers::{Linear, reverse_gradient};
use crate::{EmbeddingModel, Error, Loss, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Eddfn`]; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EddfnConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors. Default 300.
    pub embedding_size: i64,
    /// Whether the word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Whether the encoder, if there is one, is trained, too. Default false.
    pub train_encoder: bool,
    /// Size of the embedding, both halves together; an even number of at least 2. Default 512.
    pub hidden_size: i64,
    /// Weight of the reconstruction of the input, at least 0. Default 1.
    pub lambda1: f64,
    /// Weight of the domain predicted by the domain-specific half, at least 0. Default 10.
    pub lambda2: f64,
    /// Weight of the domain predicted by the shared half, at least 0: its discriminator minimizes the error, the embedding
    /// maximizes it. Default 5.
    pub lambda3: f64,
    /// Share of the training samples to train on, above 0 to 1, selected by locality-sensitive hashing. Default 0.8.
    pub lsh_share: f64,
    /// Whether to reproduce FaKnow's defect: the embedding minimizes the error of the shared half too. Default false.
    pub faithful: bool,
}

impl Default for EddfnConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            freeze_embedding: false,
            train_encoder: false,
            hidden_size: 512,
            lambda1: 1.0,
            lambda2: 10.0,
            lambda3: 5.0,
            lsh_share: 0.8,
            faithful: false,
        }
    }
}

/// The input of [`Eddfn`].
#[derive(Debug, Clone, Copy)]
pub enum EddfnInput<'a> {
    /// The named feature [`Eddfn::INPUT`], with this number of values.
    Feature(usize),
    /// The mean of the token vectors of a text.
    Text(TextSource<'a>),
}

/// The EDDFN classifier.
///
/// Parameters: `embedding.weight`, or `bert.*` with a trained encoder, unless the input is a feature; `input_embedding_layer.0.*`, `specific_discriminator.ffn.*`, `shared_discriminator.ffn.*`, `output_decoder.*`,
/// each with `dense1` and `dense2`, and `output_classifier.0.*`: one logit for two classes, else one per class.
#[derive(Debug)]
pub struct Eddfn {
    /// `None` if the input is a feature.
    text: Option<TextInput>,
    domain_size: i64,
    embedding: FeedForward,
    decoder: FeedForward,
    specific: FeedForward,
    shared: FeedForward,
    classifier: Linear,
    config: EddfnConfig,
}

/// The outputs of [`Eddfn`] for a batch.
#[derive(Debug)]
pub struct EddfnOutput {
    /// Class logits, `[n, n_classes]`.
    pub logits: Tensor,
    /// The reconstructed input, `[n, input_size]`.
    pub decoded: Tensor,
    /// The domain predicted by the domain-specific half, `[n, domain_size]`, each element from 0 to 1.
    pub specific_domain: Tensor,
    /// The domain predicted by the shared half, as `specific_domain`.
    pub shared_domain: Tensor,
}

impl Eddfn {
    /// Name of the feature of a batch that is the input, if it exists.
    pub const INPUT: &'static str = "input";
    /// Name of the feature of a batch that describes the domain, if it exists, with elements from 0 to 1.
    pub const DOMAIN: &'static str = "domain_embedding";

    /// Creates a model for domain embeddings of `domain_size` numbers: the named feature [`Self::DOMAIN`] or, in batches without
    /// it, the one-hot vectors of the domains.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range; the source of token vectors is not usable.
    pub fn new(
        path: &Path<'_>,
        config: &EddfnConfig,
        input: EddfnInput<'_>,
        domain_size: usize,
        n_classes: usize,
    ) -> Result<Self> {
        check(config, n_classes)?;
        let text = match &input {
            EddfnInput::Feature(_) => None,
            EddfnInput::Text(source @ TextSource::Encoder(_)) => {
                Some(TextInput::new(&(path / "bert"), source, config.train_encoder)?)
            }
            EddfnInput::Text(source) => {
                Some(TextInput::new(&(path / "embedding"), source, !config.freeze_embedding)?)
            }
        };
        let n_in = match (&text, input) {
            (None, EddfnInput::Feature(size)) => size as i64,
            (text, _) => text.as_ref().map_or(0, TextInput::size),
        };
        let n_domain = domain_size as i64;
        let (hidden, half) = (config.hidden_size, config.hidden_size / 2);
        let discriminator =
            |name: &str| FeedForward::new(&(path / name / "ffn"), half, 2 * n_domain, n_domain);
        Ok(Self {
            text,
            domain_size: n_domain,
            embedding: FeedForward::new(&(path / "input_embedding_layer" / "0"), n_in, half, hidden)?,
            decoder: FeedForward::new(&(path / "output_decoder"), hidden, half, n_in)?,
            specific: discriminator("specific_discriminator")?,
            shared: discriminator("shared_discriminator")?,
            classifier: Linear::new(&(path / "output_classifier" / "0"), hidden, n_outputs(n_classes))?,
            config: config.clone(),
        })
    }

    /// Computes all outputs for `input` `[n, input_size]`.
    ///
    /// # Errors
    /// The input has another size.
    pub fn outputs(&self, input: &Tensor) -> Result<EddfnOutput> {
        let embedding = self.embedding.forward(input, Tensor::f_relu)?.f_relu()?; // [n, hidden_size]
        let halves = embedding.f_chunk(2, 1)?;
        let shared = match self.config.faithful {
            true => halves[1].shallow_clone(),
            false => reverse_gradient(&halves[1], 1.0)?,
        };
        let domain = |net: &FeedForward, half: &Tensor| -> Result<Tensor> {
            Ok(net.forward(half, Tensor::f_sigmoid)?.f_sigmoid()?)
        };
        Ok(EddfnOutput {
            logits: class_logits(self.classifier.forward(&embedding)?)?,
            decoded: self.decoder.forward(&embedding, Tensor::f_relu)?,
            specific_domain: domain(&self.specific, &halves[0])?,
            shared_domain: domain(&self.shared, &shared)?,
        })
    }

    /// Returns the input vectors of a batch, `[n, input_size]`.
    fn input(&self, batch: &FieldBatch, mode: Mode) -> Result<Tensor> {
        match &self.text {
            None => Ok(batch.feature(Self::INPUT)?.f_to_kind(self.classifier.kind())?),
            Some(text) => mean(&text.forward(batch, None, mode)?),
        }
    }

    /// Returns the domain embeddings of a batch, `[n, domain_size]`; 0 for an unknown domain.
    fn domain(&self, batch: &FieldBatch) -> Result<Tensor> {
        let kind = self.classifier.kind();
        if let Ok(domain) = batch.feature(Self::DOMAIN) {
            return Ok(domain.f_to_kind(kind)?);
        }
        let domains = batch.domains()?;
        let numbers = Tensor::f_arange(self.domain_size, (Kind::Int64, domains.device()))?;
        Ok(domains.f_unsqueeze(1)?.f_eq_tensor(&numbers)?.f_to_kind(kind)?)
    }
}

impl Model for Eddfn {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let input = self.input(batch, mode)?;
        let EddfnOutput { logits, decoded, specific_domain, shared_domain } = self.outputs(&input)?;
        let Output { logits, loss } = loss::classify(logits, batch)?;
        let Some(Loss { total: classification, .. }) = loss else {
            return Ok(Output { logits, loss });
        };
        let EddfnConfig { lambda1, lambda2, lambda3, .. } = self.config;
        let error = |ours: &Tensor, target: &Tensor, weight: f64| -> Result<Tensor> {
            Ok(ours.f_mse_loss(target, Reduction::Mean)?.f_mul_scalar(weight)?)
        };
        let domain = self.domain(batch)?;
        // The target is a constant, also if trained token vectors are the input: else all of them would shrink to 0.
        let decoder = error(&decoded, &input.f_detach()?, lambda1)?;
        let specific = error(&specific_domain, &domain, lambda2)?;
        let shared = error(&shared_domain, &domain, lambda3)?;
        let total = classification.f_add(&decoder)?.f_add(&specific)?.f_add(&shared)?;
        let parts = vec![
            (Loss::CLASSIFICATION, classification),
            ("decoder", decoder),
            ("specific_domain", specific),
            ("shared_domain", shared),
        ];
        Ok(Output { logits, loss: Some(Loss { total, parts }) })
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let logits = |tokens, _: &FieldBatch| Ok(self.outputs(&mean(&tokens)?)?.logits);
        Some(Box::new(OneText::new(self.text.as_ref()?, batch, logits)))
    }
}

/// Returns the mean of the token vectors of each text, `[n, size]`.
fn mean(tokens: &TokenVectors) -> Result<Tensor> {
    Pooling::Mean.apply(&tokens.vectors, Some(&tokens.mask))
}

/// Two linear layers with an activation in between.
#[derive(Debug)]
struct FeedForward {
    first: Linear,
    second: Linear,
}

impl FeedForward {
    fn new(path: &Path<'_>, n_in: i64, hidden: i64, n_out: i64) -> Result<Self> {
        let first = Linear::new(&(path / "dense1"), n_in, hidden)?;
        Ok(Self { first, second: Linear::new(&(path / "dense2"), hidden, n_out)? })
    }

    fn forward(
        &self,
        x: &Tensor,
        activation: fn(&Tensor) -> Result<Tensor, tch::TchError>,
    ) -> Result<Tensor> {
        self.second.forward(&activation(&self.first.forward(x)?)?)
    }
}

fn check(config: &EddfnConfig, n_classes: usize) -> Result<()> {
    let sizes = [("embedding_size", config.embedding_size), ("hidden_size", config.hidden_size)];
    check_sizes("EDDFN", &sizes, &[], 0.0, n_classes)?;
    let invalid = |name, expected: &str, got: String| {
        Err(Error::Config { model: "EDDFN", name, expected: expected.into(), got })
    };
    if config.hidden_size % 2 != 0 {
        return invalid("hidden_size", "an even number", config.hidden_size.to_string());
    }
    if !(config.lsh_share > 0.0 && config.lsh_share <= 1.0) {
        return invalid("lsh_share", "a number above 0, at most 1", config.lsh_share.to_string());
    }
    let weights = [("lambda1", config.lambda1), ("lambda2", config.lambda2), ("lambda3", config.lambda3)];
    match weights.into_iter().find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0)) {
        Some((name, weight)) => invalid(name, "a number of at least 0", weight.to_string()),
        None => Ok(()),
    }
}
