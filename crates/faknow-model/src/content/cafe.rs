//! CAFE: unimodal and cross-modal features, weighted by the ambiguity between text and image.
//!
//! Chen et al., *Cross-modal Ambiguity Learning for Multimodal Fake News Detection*, WWW 2022. As in FaKnow and the authors' code,
//! an alignment module learns with a separate optimizer to map text and image of real news to similar vectors. Unlike there,
//! prediction is deterministic, and the classifier of the alignment, which nothing reads, is left out.

use faknow_data::{Batch, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::cafe_head::{CafeHead, CafeInput};
use super::fixed_features::FixedFeatures;
use super::one_text::OneText;
use super::text_layer::{TextLayer, TextSettings};
use super::{ImageInput, ImageVectors, Modalities, ModalitySizes, TextSource, TokenVectors, check};
use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Cafe`]; the defaults are the authors', except for `embedding_dropout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CafeConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors and encoders. Default 200.
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
    /// Number of filters per kernel size, at least 1. Default 32.
    pub n_filters: i64,
    /// Kernel sizes in tokens, each at least 1. Default 1, 2, 4 and 8.
    pub kernel_sizes: Vec<i64>,
    /// Size of the hidden layer of the encoder of texts, at least 1. Default 64.
    pub text_hidden_size: i64,
    /// Size of the hidden layer of the encoder of images, at least 1. Default 256.
    pub image_hidden_size: i64,
    /// Length of the vectors of texts and of images, at least 1. Default 128.
    pub shared_size: i64,
    /// Length of the aligned vectors, at least 1. Default 64.
    pub aligned_size: i64,
    /// Number of components of the latent variable of the ambiguity, at least 1. Default 2.
    pub latent_size: i64,
    /// Number of features of each modality alone, at least 1. Default 16.
    pub unimodal_size: i64,
    /// Number of features of the correlation of both, at least 1. Default 64.
    pub cross_size: i64,
    /// Size of the two hidden layers of the classifier, at least 1. Default 64.
    pub hidden_size: i64,
    /// Dropout probability of the encoders of texts and images, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Learning rate of the optimizer of the alignment, above 0. Default 0.001.
    pub similarity_lr: f64,
    /// Index of the class of real news, in which text and image match. Default 0, the first class; in FaKnow, 1.
    pub real_class: i64,
    /// Whether to reproduce FaKnow's defect: padding is read as tokens, also by batch normalization. Default false.
    pub faithful: bool,
}

impl Default for CafeConfig {
    fn default() -> Self {
        Self {
            embedding_size: 200,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            train_image_encoder: false,
            modalities: Modalities::Both,
            n_filters: 32,
            kernel_sizes: vec![1, 2, 4, 8],
            text_hidden_size: 64,
            image_hidden_size: 256,
            shared_size: 128,
            aligned_size: 64,
            latent_size: 2,
            unimodal_size: 16,
            cross_size: 64,
            hidden_size: 64,
            dropout: 0.5,
            similarity_lr: 0.001,
            real_class: 0,
            faithful: false,
        }
    }
}

impl CafeConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: NAME,
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: self.train_encoder,
            faithful: self.faithful,
        }
    }

    pub(super) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = [
            ("n_filters", self.n_filters),
            ("text_hidden_size", self.text_hidden_size),
            ("image_hidden_size", self.image_hidden_size),
            ("shared_size", self.shared_size),
            ("aligned_size", self.aligned_size),
            ("latent_size", self.latent_size),
            ("unimodal_size", self.unimodal_size),
            ("cross_size", self.cross_size),
            ("hidden_size", self.hidden_size),
        ];
        check(NAME, &sizes, &[("kernel_sizes", &*self.kernel_sizes)], self.dropout, n_classes)?;
        let invalid =
            |name, expected: String, got: String| Err(Error::Config { model: NAME, name, expected, got });
        if !(self.similarity_lr > 0.0 && self.similarity_lr.is_finite()) {
            return invalid("similarity_lr", "a number above 0".into(), self.similarity_lr.to_string());
        }
        if !(0..n_classes as i64).contains(&self.real_class) {
            let expected = format!("from 0 to {} ({n_classes} classes)", n_classes - 1);
            return invalid("real_class", expected, self.real_class.to_string());
        }
        Ok(())
    }
}

/// Name of the model in errors.
pub(super) const NAME: &str = "CAFE";

/// The CAFE classifier.
///
/// Its loss is the cross entropy of the classes. [`auxiliary_loss`](Model::auxiliary_loss) is that of the alignment, which trains
/// the parameters [`Self::ALIGNMENT`] with a separate optimizer (`TwoOptimizers` of `faknow-trainer`); without it, the loss
/// of the classes trains them too.
///
/// In training, the ambiguity of a post is estimated from samples of two distributions; in evaluation, from their means.
///
/// Parameters: `embed.weight` of words, or `bert.*` and `image_encoder.*` of encoders that are trained; those of [`CafeHead`].
#[derive(Debug)]
pub struct Cafe {
    text: Option<TextLayer>,
    image: Option<ImageInput>,
    head: CafeHead,
}

impl Cafe {
    /// Pattern of the names of the parameters of the alignment, which exist if the model reads texts and images.
    pub const ALIGNMENT: &'static str = "similarity_module.*";

    /// The output of an image encoder that the model reads.
    pub const IMAGE_OUTPUT: ImageOutput = ImageOutput::Pooled;

    /// Creates a model with token vectors from `source`. Without an image encoder, all images count as missing.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &CafeConfig,
        source: &TextSource<'_>,
        image: Option<&PretrainedImageEncoder>,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let text = config
            .modalities
            .text(source)
            .map(|source| TextLayer::new(path, ["embed", "bert"], source, config.text_settings()));
        let text = text.transpose()?;
        let image = config.modalities.image_input(
            NAME,
            &(path / "image_encoder"),
            image,
            |_| Self::IMAGE_OUTPUT,
            config.train_image_encoder,
        )?;
        let sizes = ModalitySizes {
            text: text.as_ref().map(TextLayer::size),
            image: image.as_ref().map(ImageInput::size),
        };
        let head = CafeHead::new(path, config, sizes, n_classes)?;
        Ok(Self { text, image, head })
    }

    fn input(&self, batch: &FieldBatch, mode: Mode) -> Result<CafeInput> {
        Ok(CafeInput {
            tokens: self.text.as_ref().map(|text| text.forward(batch, None, mode)).transpose()?,
            images: self.image.as_ref().map(|image| image.forward(batch, mode)).transpose()?,
        })
    }
}

impl Model for Cafe {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let n = batch.n_samples() as i64;
        let logits = self.head.outputs(&self.input(batch, mode)?, n, mode)?.logits;
        loss::classify(logits, batch)
    }

    fn auxiliary_loss(&self, batch: &FieldBatch) -> Result<Option<Tensor>> {
        let Some(labels) = &batch.labels else { return Ok(None) };
        // The vectors are not parameters of the alignment.
        let input = tch::no_grad(|| self.input(batch, Mode::Train))?;
        self.head.similarity_loss(&input, labels, Mode::Train)
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let images = self.image.as_ref().map(|image| {
            FixedFeatures::new(move || {
                let ImageVectors { vectors, present } = image.forward(batch, Mode::Eval)?;
                Ok([vectors, present])
            })
        });
        let logits = move |tokens: TokenVectors, _: &FieldBatch| {
            let n = tokens.vectors.size()[0];
            let images = images.as_ref().map(|images| {
                let [vectors, present] = images.repeated(n)?;
                Ok::<_, Error>(ImageVectors { vectors, present })
            });
            let input = CafeInput { tokens: Some(tokens), images: images.transpose()? };
            Ok(self.head.outputs(&input, n, Mode::Eval)?.logits)
        };
        Some(Box::new(OneText::new(self.text.as_ref()?.input(), batch, logits)))
    }
}
