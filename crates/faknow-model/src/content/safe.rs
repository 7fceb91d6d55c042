//! SAFE: text, image and their similarity, which is high for real news.
//!
//! Zhou, Wu and Zafarani, *SAFE: Similarity-Aware Multi-modal Fake News Detection*, PAKDD 2020. The paper describes an image by
//! the words of a generated caption; here, the regions of the last feature map of an image encoder are its words, projected to
//! the length of the token vectors. As in the authors' code and unlike in FaKnow, the convolutions have a ReLU, and the
//! similarity of the loss does not reach 0.

use faknow_data::{Batch, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::fixed_features::FixedFeatures;
use super::modalities::{or_missing, present_texts};
use super::one_text::OneText;
use super::safe_head::{SafeFeatures, SafeHead, SafeSentence};
use super::text_layer::{TextLayer, TextSettings};
use super::{ImageInput, Modalities, TextSource, TokenVectors, check};
use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::layers::{Linear, MissingEmbedding};
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result};

/// Hyperparameters of [`Safe`]; the defaults are those of the authors, except for those of word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SafeConfig {
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
    /// Whether the headline is a separate text, [`Safe::TITLE`]. Default false: there is one text.
    pub title: bool,
    /// Length of the vectors of the convolutions, to which token vectors are reduced, at least 1. Default 32.
    pub reduced_size: i64,
    /// Number of filters per kernel size, at least 1. Default 256.
    pub n_filters: i64,
    /// Kernel sizes in tokens or regions, each at least 1. Default 3 and 4.
    pub kernel_sizes: Vec<i64>,
    /// Number of features of the headline, the text and the image each, at least 1. Default 200.
    pub feature_size: i64,
    /// Dropout probability of the outputs of the convolutions, from 0 to below 1. Default 0.
    pub dropout: f64,
    /// Weight of the loss of the classes, at least 0. Default 0.6.
    pub class_weight: f64,
    /// Weight of the loss of the similarity of text and image, at least 0. Default 0.4.
    pub similarity_weight: f64,
    /// Index of the class of real news, in which text and image are similar. Default 0, the first class; in FaKnow, 1.
    pub real_class: i64,
    /// Whether to reproduce FaKnow's defects: convolutions without activation, which read padding as tokens, and an infinite loss
    /// if text and image of fake news are equal. Default false.
    pub faithful: bool,
}

impl Default for SafeConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            train_image_encoder: false,
            modalities: Modalities::Both,
            title: false,
            reduced_size: 32,
            n_filters: 256,
            kernel_sizes: vec![3, 4],
            feature_size: 200,
            dropout: 0.0,
            class_weight: 0.6,
            similarity_weight: 0.4,
            real_class: 0,
            faithful: false,
        }
    }
}

impl SafeConfig {
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
            ("embedding_size", self.embedding_size),
            ("reduced_size", self.reduced_size),
            ("n_filters", self.n_filters),
            ("feature_size", self.feature_size),
        ];
        check(NAME, &sizes, &[("kernel_sizes", &*self.kernel_sizes)], self.dropout, n_classes)?;
        let invalid =
            |name, expected: String, got: String| Err(Error::Config { model: NAME, name, expected, got });
        let weights = [("class_weight", self.class_weight), ("similarity_weight", self.similarity_weight)];
        if let Some((name, weight)) = weights.into_iter().find(|(_, w)| !(w.is_finite() && *w >= 0.0)) {
            return invalid(name, "a number of at least 0".into(), weight.to_string());
        }
        if !(0..n_classes as i64).contains(&self.real_class) {
            let expected = format!("from 0 to {} ({n_classes} classes)", n_classes - 1);
            return invalid("real_class", expected, self.real_class.to_string());
        }
        Ok(())
    }
}

/// Name of the model in errors.
pub(super) const NAME: &str = "SAFE";

/// The SAFE classifier.
///
/// The loss is the weighted sum of the cross entropy of the classes (part `classification`) and of that of the similarity (part
/// `similarity`): text and image of real news are similar, others are not. A post without text or image has no similarity.
///
/// Parameters: `embed.weight` of words, or `bert.*` and `image_encoder.*` of encoders that are trained; `image_projection.*`;
/// `missing_title.embedding`, `missing_text.embedding` and `missing_image.embedding`, the features of what a post lacks; those of
/// [`SafeHead`].
#[derive(Debug)]
pub struct Safe {
    text: Option<TextLayer>,
    image: Option<(ImageInput, Linear)>,
    /// `None` without separate headlines.
    missing_title: Option<MissingEmbedding>,
    missing_text: MissingEmbedding,
    missing_image: MissingEmbedding,
    head: SafeHead,
}

/// The features of a batch of posts; `None` for what is missing in all of them.
struct Post {
    title: Option<SafeFeatures>,
    body: Option<SafeFeatures>,
    image: Option<SafeFeatures>,
}

impl Safe {
    /// Name of the further text of a batch that is the headline, with [`SafeConfig::title`].
    pub const TITLE: &'static str = "title";

    /// The output of an image encoder that the model reads.
    pub const IMAGE_OUTPUT: ImageOutput = ImageOutput::Regions;

    /// Creates a model with token vectors from `source`. Without an image encoder, all images count as missing.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &SafeConfig,
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
        let size = text.as_ref().map_or(config.embedding_size, TextLayer::size);
        let image = config.modalities.image_input(
            NAME,
            &(path / "image_encoder"),
            image,
            |_| Self::IMAGE_OUTPUT,
            config.train_image_encoder,
        )?;
        let image = image.map(|input| {
            let projection = Linear::new(&(path / "image_projection"), input.size(), size)?;
            Ok::<_, Error>((input, projection))
        });
        let image = image.transpose()?;
        let missing = |name: &str| MissingEmbedding::new(&(path / name), config.feature_size);
        let sentences: Vec<SafeSentence> = [
            (SafeSentence::Title, text.is_some() && config.title),
            (SafeSentence::Body, text.is_some()),
            (SafeSentence::Image, image.is_some()),
        ]
        .into_iter()
        .filter_map(|(sentence, is_read)| is_read.then_some(sentence))
        .collect();
        Ok(Self {
            missing_title: config.title.then(|| missing("missing_title")).transpose()?,
            missing_text: missing("missing_text")?,
            missing_image: missing("missing_image")?,
            head: SafeHead::new(path, config, size, &sentences, n_classes)?,
            text,
            image,
        })
    }

    /// Returns the features of the text or the headline of a batch.
    fn text_features(
        &self,
        sentence: SafeSentence,
        batch: &FieldBatch,
        mode: Mode,
    ) -> Result<Option<SafeFeatures>> {
        let Some(text) = &self.text else { return Ok(None) };
        let name = (sentence == SafeSentence::Title).then_some(Self::TITLE);
        self.features_of(sentence, &text.forward(batch, name, mode)?, mode).map(Some)
    }

    fn features_of(&self, sentence: SafeSentence, tokens: &TokenVectors, mode: Mode) -> Result<SafeFeatures> {
        let features = self.head.features(sentence, tokens, mode)?;
        Ok(SafeFeatures { features, present: present_texts(&tokens.mask)? })
    }

    fn title_features(&self, batch: &FieldBatch, mode: Mode) -> Result<Option<SafeFeatures>> {
        match self.missing_title {
            Some(_) => self.text_features(SafeSentence::Title, batch, mode),
            None => Ok(None),
        }
    }

    fn image_features(&self, batch: &FieldBatch, mode: Mode) -> Result<Option<SafeFeatures>> {
        let Some((input, projection)) = &self.image else { return Ok(None) };
        let images = input.forward(batch, mode)?;
        let vectors = projection.forward(&images.vectors)?; // [n, n_regions, size]
        let mask = Tensor::f_ones(&vectors.size()[..2], (Kind::Bool, vectors.device()))?;
        let features = self.head.features(SafeSentence::Image, &TokenVectors::new(vectors, mask), mode)?;
        Ok(Some(SafeFeatures { features, present: images.present }))
    }

    /// Returns the input of the classifier for a batch of `n` posts, with learned features for what is missing: headline, text
    /// and image, each `[n, feature_size]`.
    fn complete(&self, post: &Post, n: i64) -> Result<Vec<Tensor>> {
        let Post { title, body, image } = post;
        let parts = [
            (self.missing_title.as_ref(), title),
            (Some(&self.missing_text), body),
            (Some(&self.missing_image), image),
        ];
        let parts = parts.into_iter().filter_map(|(missing, part)| Some((missing?, part)));
        let complete = |(missing, part): (&MissingEmbedding, &Option<SafeFeatures>)| {
            or_missing(missing, part.as_ref().map(|part| (&part.features, &part.present)), n)
        };
        parts.map(complete).collect()
    }
}

impl Model for Safe {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let post = Post {
            title: self.title_features(batch, mode)?,
            body: self.text_features(SafeSentence::Body, batch, mode)?,
            image: self.image_features(batch, mode)?,
        };
        let logits = self.head.logits(&self.complete(&post, batch.n_samples() as i64)?)?;
        let Some(labels) = &batch.labels else { return Ok(Output { logits, loss: None }) };
        let texts: Vec<&SafeFeatures> = [&post.title, &post.body].into_iter().flatten().collect();
        let image = post.image.as_ref().filter(|_| !texts.is_empty());
        let similarity = image.map(|image| self.head.similarity(&texts, image)).transpose()?;
        let loss = self.head.loss(&logits, similarity.as_ref(), labels)?;
        Ok(Output { logits, loss: Some(loss) })
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let others = FixedFeatures::new(move || {
            let title = self.title_features(batch, Mode::Eval)?;
            let image = self.image_features(batch, Mode::Eval)?;
            let parts = self.complete(&Post { title, body: None, image }, 1)?;
            Ok([Tensor::f_stack(&parts, 1)?]) // [1, n_parts, feature_size]
        });
        let logits = move |tokens: TokenVectors, _: &FieldBatch| {
            let n = tokens.vectors.size()[0];
            let body = self.features_of(SafeSentence::Body, &tokens, Mode::Eval)?;
            let [others] = others.repeated(n)?;
            let mut parts = others.f_unbind(1)?;
            // The text is the last but one of headline (if it is separate), text and image.
            if let Some(part) = parts.iter_mut().rev().nth(1) {
                *part = or_missing(&self.missing_text, Some((&body.features, &body.present)), n)?;
            }
            self.head.logits(&parts)
        };
        Some(Box::new(OneText::new(self.text.as_ref()?.input(), batch, logits)))
    }
}
