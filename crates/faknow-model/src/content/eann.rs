//! EANN: text and image features from which a discriminator cannot recognize the event of a post.
//!
//! Wang et al., *EANN: Event Adversarial Neural Networks for Multi-Modal Fake News Detection*, KDD 2018. As in FaKnow and the
//! authors' code, the image features are the outputs of the last fully connected layer of a frozen network, and the reversed
//! gradient has a constant factor. The hidden layer of the discriminator has an activation, which is the identity in the code of
//! both by mistake.

use faknow_data::{Batch, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::eann_head::{EannHead, EannOutput};
use super::fixed_features::FixedFeatures;
use super::modalities::{or_missing, or_pooled, present_texts};
use super::one_text::OneText;
use super::text_layer::{TextLayer, TextSettings};
use super::{ImageInput, Modalities, ModalitySizes, TextSource, TokenVectors, check};
use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::layers::MissingEmbedding;
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Eann`]; the defaults are the paper's, except for those of word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EannConfig {
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
    /// Number of filters per kernel size, at least 1. Default 20.
    pub n_filters: i64,
    /// Kernel sizes in tokens, each at least 1. Default 1, 2, 3 and 4.
    pub kernel_sizes: Vec<i64>,
    /// Number of features of each modality, at least 1. Default 32.
    pub hidden_size: i64,
    /// Size of the hidden layer of the event discriminator, at least 1. Default 32.
    pub event_hidden_size: i64,
    /// Factor of the reversed gradient of the event discriminator, at least 0. Default 1.
    pub reverse_lambda: f64,
    /// Whether to reproduce FaKnow's defects: the hidden layer of the discriminator is linear, word vectors are frozen, and the
    /// convolutions read padding as tokens with the vector 0. Default false.
    pub faithful: bool,
}

impl Default for EannConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            train_image_encoder: false,
            modalities: Modalities::Both,
            n_filters: 20,
            kernel_sizes: vec![1, 2, 3, 4],
            hidden_size: 32,
            event_hidden_size: 32,
            reverse_lambda: 1.0,
            faithful: false,
        }
    }
}

impl EannConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: NAME,
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding || self.faithful,
            train_encoder: self.train_encoder,
            faithful: self.faithful,
        }
    }

    pub(super) fn validate(&self, n_events: usize, n_classes: usize) -> Result<()> {
        let sizes = [
            ("n_filters", self.n_filters),
            ("hidden_size", self.hidden_size),
            ("event_hidden_size", self.event_hidden_size),
        ];
        check(NAME, &sizes, &[("kernel_sizes", &*self.kernel_sizes)], 0.0, n_classes)?;
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Config { model: NAME, name, expected: expected.into(), got })
        };
        if !(self.reverse_lambda >= 0.0 && self.reverse_lambda.is_finite()) {
            return invalid("reverse_lambda", "at least 0", self.reverse_lambda.to_string());
        }
        if n_events < 2 {
            return invalid("n_events", "at least 2 events of the training posts", n_events.to_string());
        }
        Ok(())
    }
}

/// Name of the model in errors.
pub(super) const NAME: &str = "EANN";

/// The EANN classifier.
///
/// The loss of training is the cross entropy of the classes (part `classification`) plus that of the events (part `event`), over
/// the posts whose event is known. In evaluation, it is that of the classes: posts to be classified are usually about events
/// that do not occur in the training data, and need none.
///
/// Parameters: `embed.weight` of words, or `bert.*` and `image_encoder.*` of encoders that are trained; `missing_text.embedding`
/// and `missing_image.embedding`, the features of posts without text or image; those of [`EannHead`].
#[derive(Debug)]
pub struct Eann {
    text: Option<TextLayer>,
    image: Option<ImageInput>,
    missing_text: MissingEmbedding,
    missing_image: MissingEmbedding,
    head: EannHead,
}

impl Eann {
    /// Creates a model for posts about `n_events` events (the domains of a batch, -1 for an unknown one), with token vectors from
    /// `source`. Without an image encoder, all images count as missing.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range: there must be at least two events.
    pub fn new(
        path: &Path<'_>,
        config: &EannConfig,
        source: &TextSource<'_>,
        image: Option<&PretrainedImageEncoder>,
        n_events: usize,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_events, n_classes)?;
        let text = config
            .modalities
            .text(source)
            .map(|source| TextLayer::new(path, ["embed", "bert"], source, config.text_settings()));
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
            missing_text: MissingEmbedding::new(&(path / "missing_text"), config.hidden_size)?,
            missing_image: MissingEmbedding::new(&(path / "missing_image"), config.hidden_size)?,
            head: EannHead::new(path, config, sizes, n_events, n_classes)?,
        })
    }

    /// Returns the output of an image encoder that the model reads: that of the last fully connected layer or, if the file lacks
    /// this layer, the pooled features before it.
    pub fn image_output(encoder: &PretrainedImageEncoder) -> ImageOutput {
        or_pooled(encoder, ImageOutput::Logits)
    }

    /// Returns the features of texts, `[n, hidden_size]`.
    fn text_features(&self, tokens: Option<&TokenVectors>, n: i64) -> Result<Tensor> {
        let Some(tokens) = tokens else { return or_missing(&self.missing_text, None, n) };
        let (features, present) = (self.head.text(tokens)?, present_texts(&tokens.mask)?);
        or_missing(&self.missing_text, Some((&features, &present)), n)
    }

    /// Returns the features of the images of a batch, `[n, hidden_size]`.
    fn image_features(&self, batch: &FieldBatch, mode: Mode) -> Result<Tensor> {
        let n = batch.n_samples() as i64;
        let Some(image) = &self.image else { return or_missing(&self.missing_image, None, n) };
        let images = image.forward(batch, mode)?;
        let features = self.head.image(&images.vector()?)?;
        or_missing(&self.missing_image, Some((&features, &images.present)), n)
    }
}

impl Model for Eann {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let tokens = self.text.as_ref().map(|text| text.forward(batch, None, mode)).transpose()?;
        let text = self.text_features(tokens.as_ref(), batch.n_samples() as i64)?;
        let image = self.image_features(batch, mode)?;
        if !mode.is_train() {
            return loss::classify(self.head.class_logits(&text, &image)?, batch);
        }
        let output = self.head.outputs(&text, &image)?;
        let loss = match &batch.labels {
            Some(labels) => Some(output.loss(labels, batch.domains()?)?),
            None => None,
        };
        let EannOutput { class_logits: logits, .. } = output;
        Ok(Output { logits, loss })
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let image = FixedFeatures::new(move || Ok([self.image_features(batch, Mode::Eval)?]));
        let logits = move |tokens: TokenVectors, _: &FieldBatch| {
            let n = tokens.vectors.size()[0];
            let [image] = image.repeated(n)?;
            self.head.class_logits(&self.text_features(Some(&tokens), n)?, &image)
        };
        Some(Box::new(OneText::new(self.text.as_ref()?.input(), batch, logits)))
    }
}
