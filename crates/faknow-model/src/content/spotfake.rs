//! SpotFake: the vector of a text and that of an image, each reduced by two layers, and fused.
//!
//! Singhal et al., *SpotFake: A Multi-modal Framework for Fake News Detection*, BigMM 2019. As in FaKnow, the text is the pooled
//! output of BERT, and the image is the output of the first fully connected layer of VGG19, before its activation. Unlike in
//! FaKnow, the image encoder can be trained, and any number of classes is supported.

use faknow_data::{Batch, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::fixed_features::FixedFeatures;
use super::modalities::{or_missing, or_pooled, present_texts};
use super::one_text::OneText;
use super::pooled_text::pooled;
use super::spotfake_head::SpotFakeHead;
use super::text_layer::{TextLayer, TextSettings};
use super::{ImageInput, Modalities, ModalitySizes, TextSource, TokenVectors, check};
use crate::encoder::Pooling;
use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::layers::MissingEmbedding;
use crate::{EmbeddingModel, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`SpotFake`]; the defaults are the paper's, except for those of word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpotFakeConfig {
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
    /// How the token vectors of an encoder become the vector of a text; with `cls`, those of an encoder that has BERT's pooler go
    /// through it. Word vectors are always averaged. Default `cls`.
    pub pooling: Pooling,
    /// Size of the hidden layer of texts, at least 1. Default 2742.
    pub text_hidden_size: i64,
    /// Number of features of texts, at least 1. Default 32.
    pub text_size: i64,
    /// Size of the hidden layer of images, at least 1. Default 2742.
    pub image_hidden_size: i64,
    /// Number of features of images, at least 1. Default 32.
    pub image_size: i64,
    /// Size of the hidden layer of the fused features, at least 1. Default 35.
    pub fusion_size: i64,
    /// Dropout probability of each hidden layer and of the fused features, from 0 to below 1. Default 0.4.
    pub dropout: f64,
}

impl Default for SpotFakeConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            train_image_encoder: false,
            modalities: Modalities::Both,
            pooling: Pooling::Cls,
            text_hidden_size: 2742,
            text_size: 32,
            image_hidden_size: 2742,
            image_size: 32,
            fusion_size: 35,
            dropout: 0.4,
        }
    }
}

impl SpotFakeConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: NAME,
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: self.train_encoder,
            faithful: false,
        }
    }

    pub(super) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = [
            ("text_hidden_size", self.text_hidden_size),
            ("text_size", self.text_size),
            ("image_hidden_size", self.image_hidden_size),
            ("image_size", self.image_size),
            ("fusion_size", self.fusion_size),
        ];
        check(NAME, &sizes, &[], self.dropout, n_classes)
    }
}

/// Name of the model in errors.
pub(super) const NAME: &str = "SpotFake";

/// The SpotFake classifier.
///
/// Parameters: `model.text_encoder.embed.weight` of words, or `model.text_encoder.bert.*` and `image_encoder.*` of encoders that
/// are trained; `missing_text.embedding` and `missing_image.embedding`, the features of posts without text or image; those of
/// [`SpotFakeHead`].
#[derive(Debug)]
pub struct SpotFake {
    text: Option<TextLayer>,
    image: Option<ImageInput>,
    missing_text: MissingEmbedding,
    missing_image: MissingEmbedding,
    pooling: Pooling,
    head: SpotFakeHead,
}

impl SpotFake {
    /// Creates a model with token vectors from `source`. Without an image encoder, all images count as missing.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &SpotFakeConfig,
        source: &TextSource<'_>,
        image: Option<&PretrainedImageEncoder>,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let text_path = path / "model" / "text_encoder";
        let text = config
            .modalities
            .text(source)
            .map(|source| TextLayer::new(&text_path, ["embed", "bert"], source, config.text_settings()));
        let text = text.transpose()?;
        let image = config.modalities.image_input(
            NAME,
            &(path / "image_encoder"),
            image,
            Self::image_output,
            config.train_image_encoder,
        )?;
        let sizes = ModalitySizes {
            text: text.as_ref().map(TextLayer::size),
            image: image.as_ref().map(ImageInput::size),
        };
        Ok(Self {
            text,
            image,
            missing_text: MissingEmbedding::new(&(path / "missing_text"), config.text_size)?,
            missing_image: MissingEmbedding::new(&(path / "missing_image"), config.image_size)?,
            pooling: config.pooling,
            head: SpotFakeHead::new(path, config, sizes, n_classes)?,
        })
    }

    /// Returns the output of an image encoder that the model reads: that of the first fully connected layer of VGG, else the
    /// pooled features.
    pub fn image_output(encoder: &PretrainedImageEncoder) -> ImageOutput {
        or_pooled(encoder, ImageOutput::FirstHidden)
    }

    /// Returns the features of texts, `[n, text_size]`.
    fn text_features(&self, tokens: Option<&TokenVectors>, n: i64, mode: Mode) -> Result<Tensor> {
        let (Some(text), Some(tokens)) = (&self.text, tokens) else {
            return or_missing(&self.missing_text, None, n);
        };
        let vectors = pooled(text.input(), tokens, self.pooling)?;
        let (features, present) = (self.head.text(&vectors, mode)?, present_texts(&tokens.mask)?);
        or_missing(&self.missing_text, Some((&features, &present)), n)
    }

    /// Returns the features of the images of a batch, `[n, image_size]`.
    fn image_features(&self, batch: &FieldBatch, mode: Mode) -> Result<Tensor> {
        let n = batch.n_samples() as i64;
        let Some(image) = &self.image else { return or_missing(&self.missing_image, None, n) };
        let images = image.forward(batch, mode)?;
        let features = self.head.image(&images.vector()?, mode)?;
        or_missing(&self.missing_image, Some((&features, &images.present)), n)
    }
}

impl Model for SpotFake {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let tokens = self.text.as_ref().map(|text| text.forward(batch, None, mode)).transpose()?;
        let text = self.text_features(tokens.as_ref(), batch.n_samples() as i64, mode)?;
        let image = self.image_features(batch, mode)?;
        loss::classify(self.head.logits(&text, &image, mode)?, batch)
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let image = FixedFeatures::new(move || Ok([self.image_features(batch, Mode::Eval)?]));
        let logits = move |tokens: TokenVectors, _: &FieldBatch| {
            let n = tokens.vectors.size()[0];
            let text = self.text_features(Some(&tokens), n, Mode::Eval)?;
            let [image] = image.repeated(n)?;
            self.head.logits(&text, &image, Mode::Eval)
        };
        Some(Box::new(OneText::new(self.text.as_ref()?.input(), batch, logits)))
    }
}
