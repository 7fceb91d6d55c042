//! HMCAN: a text at several levels of its encoder and the regions of an image, each in the context of the other.
//!
//! Qian et al., *Hierarchical Multi-modal Contextual Attention Network for Fake News Detection*, SIGIR 2021. As in FaKnow, all
//! levels share the same two contextual transformers. Unlike in FaKnow, the layers of these are chained, attention heads are as
//! wide as in the paper, levels are disjoint, padding is masked, and the image encoder runs in evaluation mode if it is frozen.
//! As in the authors' code, the regions are projected by a convolution with kernel 1, a linear layer; any number is supported.

use faknow_data::{Batch, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::fixed_features::FixedFeatures;
use super::hmcan_head::HmcanHead;
use super::modalities::present_texts;
use super::present_rows::of_present;
use super::text_layer::TextSettings;
use super::text_levels::{LevelVectors, TextLevels};
use super::{ContextualSizes, ImageInput, Modalities, ModalityTokens, TextSource, check};
use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::layers::MissingEmbedding;
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Hmcan`]; the defaults are the paper's, except for those of word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HmcanConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors and encoders. Default 300.
    pub embedding_size: i64,
    /// Probability from 0 to below 1 that all occurrences of a word in a batch have the vector 0 in training; an encoder has its
    /// own dropout. Default 0.4.
    pub embedding_dropout: f64,
    /// Whether word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Whether an encoder of texts is trained, too, rather than frozen. Default false.
    pub train_encoder: bool,
    /// Whether a pretrained image encoder is trained, too, rather than frozen. Default false.
    pub train_image_encoder: bool,
    /// The modalities that are read. Default both.
    pub modalities: Modalities,
    /// Number of levels of an encoder of texts, sums of groups of layers, at least 1; 1 for its last layer alone, whose output can
    /// be cached if the encoder is frozen. Words have one level, and an encoder at most one per layer. Default 3.
    pub n_levels: i64,
    /// Number of layers that encode the tokens of a modality, at least 1. Default 2.
    pub n_layers: i64,
    /// Number of their attention heads, at least 1. Default 12.
    pub n_heads: i64,
    /// Number of layers that encode the tokens of a modality in the context of the other, at least 1. Default 2.
    pub n_cross_layers: i64,
    /// Number of their attention heads, at least 1. Default 12.
    pub n_cross_heads: i64,
    /// Length of the queries, keys and values of a head, at least 1; 0 for that of the token vectors, divided by the number of
    /// heads unless `faithful`. Default 0.
    pub key_size: i64,
    /// Weight, from 0 to 1, of the text that is the context of the image; that of the image that is the context of the text is
    /// the rest to 1. Default 0.7.
    pub alpha: f64,
    /// Size of the hidden layer of the classifier, at least 1. Default 256.
    pub hidden_size: i64,
    /// Dropout probability of the transformers, from 0 to below 1. Default 0.1.
    pub dropout: f64,
    /// Whether FaKnow's transformers and levels are computed: only the last layer has an effect, heads are as wide as the token
    /// vectors, and levels are overlapping sums of four layers. Default false.
    pub faithful: bool,
}

impl Default for HmcanConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            train_image_encoder: false,
            modalities: Modalities::Both,
            n_levels: 3,
            n_layers: 2,
            n_heads: 12,
            n_cross_layers: 2,
            n_cross_heads: 12,
            key_size: 0,
            alpha: 0.7,
            hidden_size: 256,
            dropout: 0.1,
            faithful: false,
        }
    }
}

impl HmcanConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: NAME,
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: self.train_encoder,
            faithful: self.faithful,
        }
    }

    /// Returns the sizes of the transformers for token vectors of length `size`.
    pub fn transformer_sizes(&self, size: i64) -> ContextualSizes {
        let key_size = match self.key_size {
            0 if self.faithful => size,
            0 => (size / self.n_heads.max(self.n_cross_heads)).max(1),
            key_size => key_size,
        };
        ContextualSizes {
            size,
            n_layers: [self.n_layers, self.n_cross_layers],
            n_heads: [self.n_heads, self.n_cross_heads],
            key_size,
            dropout: self.dropout,
            faithful: self.faithful,
        }
    }

    pub(super) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = [
            ("n_levels", self.n_levels),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("n_cross_layers", self.n_cross_layers),
            ("n_cross_heads", self.n_cross_heads),
            ("hidden_size", self.hidden_size),
        ];
        check(NAME, &sizes, &[], self.dropout, n_classes)?;
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Config { model: NAME, name, expected: expected.into(), got })
        };
        if self.key_size < 0 {
            return invalid("key_size", "at least 0", self.key_size.to_string());
        }
        if !(0.0..=1.0).contains(&self.alpha) {
            return invalid("alpha", "from 0 to 1", self.alpha.to_string());
        }
        Ok(())
    }
}

/// Name of the model in errors.
const NAME: &str = "HMCAN";

/// The HMCAN classifier.
///
/// Parameters: `word_embedding.weight`, or `bert.*` and `image_encoder.*` of encoders that are trained;
/// `missing_text.embedding` and `missing_image.embedding`, the only token of a missing text or image; those of [`HmcanHead`].
#[derive(Debug)]
pub struct Hmcan {
    text: Option<TextLevels>,
    image: Option<ImageInput>,
    missing_text: MissingEmbedding,
    missing_image: MissingEmbedding,
    head: HmcanHead,
}

impl Hmcan {
    /// Creates a model with token vectors from `source`. Without an image encoder, all images count as missing.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &HmcanConfig,
        source: &TextSource<'_>,
        image: Option<&PretrainedImageEncoder>,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let names = ["word_embedding", "bert"];
        let text = config.modalities.text(source).map(|source| {
            TextLevels::new(path, names, source, config.text_settings(), config.n_levels as usize)
        });
        let text = text.transpose()?;
        let image = config.modalities.image_input(
            NAME,
            &(path / "image_encoder"),
            image,
            |_| ImageOutput::Regions,
            config.train_image_encoder,
        )?;
        let (size, n_levels) = (source.size(), text.as_ref().map_or(1, TextLevels::n_levels));
        let image_size = image.as_ref().map(ImageInput::size);
        Ok(Self {
            text,
            image,
            missing_text: MissingEmbedding::new(&(path / "missing_text"), size)?,
            missing_image: MissingEmbedding::new(&(path / "missing_image"), size)?,
            head: HmcanHead::new(path, config, [size, n_levels as i64], image_size, n_classes)?,
        })
    }

    /// Returns the tokens of each level of the texts of `n` posts.
    fn text_levels(&self, text: Option<LevelVectors>, n: i64) -> Result<Vec<ModalityTokens>> {
        let Some(LevelVectors { levels, mask }) = text else {
            return Ok(vec![single_token(&self.missing_text, n)?]);
        };
        let present = present_texts(&mask)?;
        let mask = at_least_first(&mask)?;
        let level = |vectors: Tensor| {
            let vectors = self.missing_text.forward(&vectors, &present)?;
            Ok(ModalityTokens { vectors, mask: mask.shallow_clone() })
        };
        levels.into_iter().map(level).collect()
    }

    /// Returns the projected regions of the images of a batch.
    fn regions(&self, batch: &FieldBatch, mode: Mode) -> Result<ModalityTokens> {
        let n = batch.n_samples() as i64;
        let Some(image) = &self.image else { return single_token(&self.missing_image, n) };
        let images = image.forward(batch, mode)?;
        let present = &images.present;
        let project = |regions: &Tensor| self.head.project(regions, mode);
        let vectors = of_present(&self.missing_image, &images.vectors, present, project)?;
        if vectors.dim() == 2 {
            // No post has an image.
            return single_token(&self.missing_image, n);
        }
        let regions = present.f_unsqueeze(1)?.f_expand([n, vectors.size()[1]], false)?;
        Ok(ModalityTokens { vectors, mask: at_least_first(&regions)? })
    }
}

/// Returns the only token of `n` missing texts or images.
fn single_token(missing: &MissingEmbedding, n: i64) -> Result<ModalityTokens> {
    let vectors = missing.repeated(n)?.f_unsqueeze(1)?;
    let mask = Tensor::f_ones([n, 1], (Kind::Bool, vectors.device()))?;
    Ok(ModalityTokens { vectors, mask })
}

/// Returns the mask, bool `[n, len]`, with the first column of each row without tokens as a token.
fn at_least_first(mask: &Tensor) -> Result<Tensor> {
    let is_empty = mask.f_any_dim(1, true)?.f_logical_not()?; // [n, 1]
    let is_first = Tensor::f_arange(mask.size()[1], (Kind::Int64, mask.device()))?.f_eq(0)?;
    Ok(mask.f_logical_or(&is_empty.f_logical_and(&is_first)?)?)
}

impl Model for Hmcan {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let text = self.text.as_ref().map(|text| text.forward(batch, mode)).transpose()?;
        let levels = self.text_levels(text, batch.n_samples() as i64)?;
        loss::classify(self.head.logits(&levels, &self.regions(batch, mode)?, mode)?, batch)
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let image = FixedFeatures::new(move || {
            let ModalityTokens { vectors, mask } = self.regions(batch, Mode::Eval)?;
            Ok([vectors, mask])
        });
        let text = self.text.as_ref()?;
        let logits = move |levels: LevelVectors| {
            let n = levels.mask.size()[0];
            let [vectors, mask] = image.repeated(n)?;
            let levels = self.text_levels(Some(levels), n)?;
            self.head.logits(&levels, &ModalityTokens { vectors, mask }, Mode::Eval)
        };
        Some(Box::new(OneLeveledText { text, batch, logits }))
    }
}

/// The model as a function of the word vectors of one text.
struct OneLeveledText<'a, F> {
    text: &'a TextLevels,
    batch: &'a FieldBatch,
    logits: F,
}

impl<F: Fn(LevelVectors) -> Result<Tensor>> EmbeddingModel for OneLeveledText<'_, F> {
    fn vectors(&self, ids: &Tensor) -> Result<Tensor> {
        self.text.input().word_vectors(ids)
    }

    fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        let mask = self.text.input().mask(self.batch)?;
        (self.logits)(self.text.forward_vectors(vectors, &mask)?)
    }

    fn is_traceable(&self) -> bool {
        false
    }

    fn padding_id(&self) -> i64 {
        self.text.input().padding_id()
    }
}
