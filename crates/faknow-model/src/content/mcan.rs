//! MCAN: co-attention of a text, an image and the frequencies of the image.
//!
//! Wu et al., *Multimodal Fusion with Co-Attention Networks for Fake News Detection*, Findings of ACL 2021. As in FaKnow and in
//! the authors' notebook, the same fusion layers first fuse the image with its frequencies, then the result with the text. Unlike
//! theirs, attention heads do not mix tokens, its weights are normalized over the keys, frequencies are computed along the
//! pixels of a block, and the image is normalized as its encoder expects.

use faknow_data::{Batch, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::fixed_features::FixedFeatures;
use super::mcan_fusion::CoAttentionSizes;
use super::mcan_head::McanHead;
use super::modalities::{or_pooled, present_texts};
use super::one_text::OneText;
use super::pooled_text::pooled;
use super::present_rows::of_present;
use super::text_layer::{TextLayer, TextSettings};
use super::{ImageInput, Modalities, ModalitySizes, TextSource, TokenVectors, check};
use crate::encoder::Pooling;
use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::layers::{BlockFrequencies, DctCnnSizes, MissingEmbedding};
use crate::{EmbeddingModel, Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Mcan`]; the defaults are the paper's, except for those of word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct McanConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors and encoders. Default 300.
    pub embedding_size: i64,
    /// Probability from 0 to below 1 that all occurrences of a word in a batch have the vector 0 in training; an encoder has its
    /// own dropout. Default 0.4.
    pub embedding_dropout: f64,
    /// Whether word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Whether an encoder of texts is trained, too, rather than frozen; the authors train it. Default false.
    pub train_encoder: bool,
    /// Whether a pretrained image encoder is trained, too, rather than frozen; the authors train it. Default false.
    pub train_image_encoder: bool,
    /// The modalities that are read. Default both.
    pub modalities: Modalities,
    /// How the token vectors of an encoder become the vector of a text; with `cls`, those of an encoder that has BERT's pooler go
    /// through it. Word vectors are always averaged. Default `cls`.
    pub pooling: Pooling,
    /// Factor of the learning rate of encoders and of the frequency branch to that of the other layers, above 0. Default 0.001.
    pub encoder_lr_factor: f64,
    /// Length of the fused vectors, a multiple of `n_heads`. Default 256.
    pub model_size: i64,
    /// Number of attention heads, at least 1. Default 8.
    pub n_heads: i64,
    /// Size of the hidden layer of the feed-forward layers, at least 1. Default 2048.
    pub ffn_size: i64,
    /// Number of fusion layers, at least 1. Default 1.
    pub n_layers: i64,
    /// Size of the hidden layer of the classifier, at least 1. Default 35.
    pub hidden_size: i64,
    /// Dropout probability of the fusion layers and of the classifier, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Dropout probability of the features of text, image and frequencies, from 0 to below 1. Default 0.5.
    pub feature_dropout: f64,
    /// Whether these features have batch normalization. Default true.
    pub batch_norm: bool,
    /// The frequencies of the blocks of an image: their cosine transform, or the gray values that FaKnow takes for it. Default
    /// `dct`.
    pub frequencies: BlockFrequencies,
    /// Channels of the first convolutions of the frequency branch, each at least 1. Default 32, 64 and 128.
    pub dct_channels: Vec<i64>,
    /// Their kernel sizes, as many, each at least 1. Default 3, 3 and 3.
    pub dct_kernel_sizes: Vec<i64>,
    /// Channels of the only convolution of the first branch of the inception block, at least 1. Default 64.
    pub dct_branch1_channels: Vec<i64>,
    /// Channels of the two convolutions of the second branch, each at least 1. Default 48 and 64.
    pub dct_branch2_channels: Vec<i64>,
    /// Channels of the three convolutions of the third branch, each at least 1. Default 64, 96 and 96.
    pub dct_branch3_channels: Vec<i64>,
    /// Channels of the only convolution of the fourth branch, at least 1. Default 32.
    pub dct_branch4_channels: Vec<i64>,
    /// Number of features of the frequency branch per block, at least 1. Default 64.
    pub dct_out_channels: i64,
    /// Whether FaKnow's attention is computed, whose heads mix tokens and whose softmax is over the queries. Default false.
    pub faithful: bool,
}

impl Default for McanConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.4,
            freeze_embedding: false,
            train_encoder: false,
            train_image_encoder: false,
            modalities: Modalities::Both,
            pooling: Pooling::Cls,
            encoder_lr_factor: 0.001,
            model_size: 256,
            n_heads: 8,
            ffn_size: 2048,
            n_layers: 1,
            hidden_size: 35,
            dropout: 0.5,
            feature_dropout: 0.5,
            batch_norm: true,
            frequencies: BlockFrequencies::Dct,
            dct_channels: vec![32, 64, 128],
            dct_kernel_sizes: vec![3, 3, 3],
            dct_branch1_channels: vec![64],
            dct_branch2_channels: vec![48, 64],
            dct_branch3_channels: vec![64, 96, 96],
            dct_branch4_channels: vec![32],
            dct_out_channels: 64,
            faithful: false,
        }
    }
}

impl McanConfig {
    fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: NAME,
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: self.train_encoder,
            faithful: false,
        }
    }

    pub(super) fn fusion_sizes(&self) -> CoAttentionSizes {
        let Self { model_size: size, n_heads, ffn_size, dropout, faithful, .. } = *self;
        CoAttentionSizes { size, n_heads, ffn_size, dropout, faithful }
    }

    /// Returns the sizes of the frequency branch.
    pub fn dct_sizes(&self) -> DctCnnSizes<'_> {
        DctCnnSizes {
            channels: &self.dct_channels,
            kernel_sizes: &self.dct_kernel_sizes,
            branches: [
                &self.dct_branch1_channels,
                &self.dct_branch2_channels,
                &self.dct_branch3_channels,
                &self.dct_branch4_channels,
            ],
            n_out: self.dct_out_channels,
        }
    }

    pub(super) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = [
            ("model_size", self.model_size),
            ("n_heads", self.n_heads),
            ("ffn_size", self.ffn_size),
            ("n_layers", self.n_layers),
            ("hidden_size", self.hidden_size),
            ("dct_out_channels", self.dct_out_channels),
        ];
        let lists = [
            ("dct_channels", &*self.dct_channels),
            ("dct_kernel_sizes", &*self.dct_kernel_sizes),
            ("dct_branch1_channels", &*self.dct_branch1_channels),
            ("dct_branch2_channels", &*self.dct_branch2_channels),
            ("dct_branch3_channels", &*self.dct_branch3_channels),
            ("dct_branch4_channels", &*self.dct_branch4_channels),
        ];
        check(NAME, &sizes, &lists, self.dropout, n_classes)?;
        let invalid = |name, expected: &str, got: f64| {
            Err(Error::Config { model: NAME, name, expected: expected.into(), got: got.to_string() })
        };
        if !(0.0..1.0).contains(&self.feature_dropout) {
            return invalid("feature_dropout", "from 0 to below 1", self.feature_dropout);
        }
        if !(self.encoder_lr_factor > 0.0 && self.encoder_lr_factor.is_finite()) {
            return invalid("encoder_lr_factor", "a number above 0", self.encoder_lr_factor);
        }
        Ok(())
    }
}

/// Name of the model in errors.
pub(super) const NAME: &str = "MCAN";

/// The MCAN classifier.
///
/// Parameters: `word_embedding.weight`, or `bert.*` and `image_encoder.*` of encoders that are trained;
/// `missing_text.embedding`, `missing_image.embedding` and `missing_frequencies.embedding`, the features of posts without text or
/// image; those of [`McanHead`].
#[derive(Debug)]
pub struct Mcan {
    text: Option<TextLayer>,
    image: Option<ImageInput>,
    missing_text: MissingEmbedding,
    missing_image: MissingEmbedding,
    missing_frequencies: MissingEmbedding,
    pooling: Pooling,
    frequencies: BlockFrequencies,
    head: McanHead,
}

impl Mcan {
    /// Creates a model with token vectors from `source`. Without an image encoder, all images count as missing.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &McanConfig,
        source: &TextSource<'_>,
        image: Option<&PretrainedImageEncoder>,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let text = config.modalities.text(source);
        let text = text
            .map(|source| TextLayer::new(path, ["word_embedding", "bert"], source, config.text_settings()));
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
        let missing = |name: &str| MissingEmbedding::new(&(path / name), config.model_size);
        Ok(Self {
            text,
            image,
            missing_text: missing("missing_text")?,
            missing_image: missing("missing_image")?,
            missing_frequencies: missing("missing_frequencies")?,
            pooling: config.pooling,
            frequencies: config.frequencies,
            head: McanHead::new(path, config, sizes, n_classes)?,
        })
    }

    /// Returns the output of an image encoder that the model reads: that of the second fully connected layer of VGG, else the
    /// pooled features.
    pub fn image_output(encoder: &PretrainedImageEncoder) -> ImageOutput {
        or_pooled(encoder, ImageOutput::SecondHidden)
    }

    /// Returns the features of texts, `[n, model_size]`.
    fn text_features(&self, tokens: Option<&TokenVectors>, n: i64, mode: Mode) -> Result<Tensor> {
        let (Some(text), Some(tokens)) = (&self.text, tokens) else { return self.missing_text.repeated(n) };
        let vectors = pooled(text.input(), tokens, self.pooling)?;
        of_present(&self.missing_text, &vectors, &present_texts(&tokens.mask)?, |x| self.head.text(x, mode))
    }

    /// Returns the features of images and of their frequencies, each `[n, model_size]`.
    fn image_features(&self, batch: &FieldBatch, mode: Mode) -> Result<[Tensor; 2]> {
        let n = batch.n_samples() as i64;
        let Some(image) = &self.image else {
            return Ok([self.missing_image.repeated(n)?, self.missing_frequencies.repeated(n)?]);
        };
        let (vectors, images) = (image.forward(batch, mode)?, batch.images()?);
        let features = vectors.vector()?;
        let frequencies = self.frequencies;
        Ok([
            of_present(&self.missing_image, &features, &vectors.present, |x| self.head.image(x, mode))?,
            of_present(&self.missing_frequencies, &images.pixels, &images.present, |pixels| {
                self.head.frequencies(&frequencies.of_pixels(pixels, features.kind())?, mode)
            })?,
        ])
    }
}

impl Model for Mcan {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let tokens = self.text.as_ref().map(|text| text.forward(batch, None, mode)).transpose()?;
        let text = self.text_features(tokens.as_ref(), batch.n_samples() as i64, mode)?;
        let [image, frequencies] = self.image_features(batch, mode)?;
        loss::classify(self.head.logits(&text, &image, &frequencies, mode)?, batch)
    }

    fn embedding_model_of<'a>(&'a self, batch: &'a FieldBatch) -> Option<Box<dyn EmbeddingModel + 'a>> {
        let image = FixedFeatures::new(move || self.image_features(batch, Mode::Eval));
        let logits = move |tokens: TokenVectors, _: &FieldBatch| {
            let n = tokens.vectors.size()[0];
            let text = self.text_features(Some(&tokens), n, Mode::Eval)?;
            let [image, frequencies] = image.repeated(n)?;
            self.head.logits(&text, &image, &frequencies, Mode::Eval)
        };
        Some(Box::new(OneText::new(self.text.as_ref()?.input(), batch, logits)))
    }
}
