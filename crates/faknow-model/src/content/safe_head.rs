//! The layers of SAFE on token vectors of headline, text and image.

use tch::Tensor;
use tch::nn::Path;

use super::modalities::not_read;
use super::safe::NAME;
use super::{SafeConfig, TokenVectors};
use crate::layers::{ConvolutionShape, Linear, TextExpertSizes, TextExperts, dropout};
use crate::{Loss, Mode, Result, loss};

/// Added to the denominator of the cosine.
const EPS: f64 = 1e-8;

/// Smallest probability of which the logarithm is taken.
const SMALLEST_PROBABILITY: f64 = 1e-7;

/// Standard deviation of the initial weights, and initial biases, of the layers that reduce and predict.
const INITIAL: f64 = 0.1;

/// A sequence of vectors that SAFE reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeSentence {
    /// The tokens of the headline.
    Title,
    /// The tokens of the text.
    Body,
    /// The regions of the image.
    Image,
}

impl SafeSentence {
    fn block(self) -> &'static str {
        match self {
            Self::Title => "head_block",
            Self::Body => "body_block",
            Self::Image => "image_block",
        }
    }
}

/// Features of a sentence of each post of a batch.
#[derive(Debug)]
pub struct SafeFeatures {
    /// The features, `[n, feature_size]`; any values for a missing sentence.
    pub features: Tensor,
    /// Which posts have this sentence, bool `[n]`.
    pub present: Tensor,
}

/// The similarity of text and image of each post of a batch.
#[derive(Debug)]
pub struct Similarity {
    /// The similarity from 0 to 1, `[n]`.
    pub values: Tensor,
    /// Which posts have both text and image, bool `[n]`.
    pub present: Tensor,
}

/// The layers of SAFE on sequences of vectors.
///
/// Parameters: `reduce.*`; per sentence `head_block`, `body_block` and `image_block`, `text_ccn_layer.convs.<i>.*` and `fc.*`;
/// `predictor.*`. Those of a sentence that is not read do not exist.
#[derive(Debug)]
pub struct SafeHead {
    reduce: Linear,
    blocks: Vec<(SafeSentence, TextExperts, Linear)>,
    predictor: Linear,
    config: SafeConfig,
}

impl SafeHead {
    /// Creates the layers for vectors of length `size`, of which the model reads these sentences.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &SafeConfig,
        size: i64,
        sentences: &[SafeSentence],
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let SafeConfig { reduced_size, n_filters, feature_size, .. } = *config;
        let block = |&sentence: &SafeSentence| -> Result<_> {
            let path = path / sentence.block();
            let sizes = TextExpertSizes { size: reduced_size, n_filters, kernel_sizes: &config.kernel_sizes };
            let shape = ConvolutionShape::TwoDimensional;
            let cnn = TextExperts::new(&[&path / "text_ccn_layer"], sizes, shape)?;
            Ok((sentence, cnn, Linear::new(&(&path / "fc"), sizes.n_features(), feature_size)?))
        };
        // Learned features replace the sentences that are not read.
        let n_sentences = if config.title { 3 } else { 2 };
        let n_features = n_sentences * feature_size;
        Ok(Self {
            reduce: Linear::normal(&(path / "reduce"), size, reduced_size, INITIAL, INITIAL)?,
            blocks: sentences.iter().map(block).collect::<Result<_>>()?,
            predictor: Linear::normal(&(path / "predictor"), n_features, n_classes as i64, INITIAL, INITIAL)?,
            config: config.clone(),
        })
    }

    /// Returns the features of a sentence, `[n, feature_size]`.
    ///
    /// # Errors
    /// The vectors have another length, or the sentence is not read.
    pub fn features(&self, sentence: SafeSentence, tokens: &TokenVectors, mode: Mode) -> Result<Tensor> {
        let is_image = sentence == SafeSentence::Image;
        let block = self.blocks.iter().find(|(block, ..)| *block == sentence);
        let (_, cnn, linear) =
            block.ok_or_else(|| not_read(NAME, if is_image { "image" } else { "text" }))?;
        let SafeConfig { faithful, dropout: rate, .. } = self.config;
        let reduced = self.reduce.forward(&tokens.vectors)?;
        let features = cnn.forward(&reduced, (!faithful).then_some(&tokens.mask))?.f_squeeze_dim(1)?;
        let features = if faithful { features } else { features.f_relu()? };
        linear.forward(&dropout(&features, rate, mode)?)
    }

    /// Returns the logits `[n, n_classes]` of the features of headline (if it is separate), text and image, each
    /// `[n, feature_size]`.
    ///
    /// # Errors
    /// The features have another size.
    pub fn logits(&self, features: &[Tensor]) -> Result<Tensor> {
        self.predictor.forward(&Tensor::f_cat(features, 1)?)
    }

    /// Returns the similarity of the image and the texts of each post, the headline and the body: half of 1 plus the cosine of
    /// their features, one after the other, with those of the image as often.
    ///
    /// # Errors
    /// There is no text, or libtorch rejects an operation.
    pub fn similarity(&self, texts: &[&SafeFeatures], image: &SafeFeatures) -> Result<Similarity> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut present = image.present.f_zeros_like()?;
        for text in texts {
            let both = text.present.f_logical_and(&image.present)?;
            let mask = both.f_to_kind(image.features.kind())?.f_unsqueeze(1)?;
            ours.push(text.features.f_mul(&mask)?);
            theirs.push(image.features.f_mul(&mask)?);
            present = present.f_logical_or(&both)?;
        }
        let (ours, theirs) = (Tensor::f_cat(&ours, 1)?, Tensor::f_cat(&theirs, 1)?);
        let norm = |x: &Tensor| x.f_norm_scalaropt_dim(2.0, [1].as_slice(), false);
        let product = ours.f_mul(&theirs)?.f_sum_dim_intlist([1].as_slice(), false, ours.kind())?;
        let cosine = product.f_div(&norm(&ours)?.f_mul(&norm(&theirs)?)?.f_add_scalar(EPS)?)?;
        Ok(Similarity { values: cosine.f_add_scalar(1.0)?.f_mul_scalar(0.5)?, present })
    }

    /// Returns the loss for class indices i64 `[n]`; without `similarity`, that of the classes alone.
    ///
    /// # Errors
    /// A class is out of range.
    pub fn loss(&self, logits: &Tensor, similarity: Option<&Similarity>, labels: &Tensor) -> Result<Loss> {
        let SafeConfig { class_weight, similarity_weight, real_class, faithful, .. } = self.config;
        let class = loss::cross_entropy(logits, labels)?.f_mul_scalar(class_weight)?;
        let Some(Similarity { values, present }) = similarity else {
            return Ok(Loss { total: class.shallow_clone(), parts: vec![(Loss::CLASSIFICATION, class)] });
        };
        let is_real = labels.f_eq(real_class)?;
        let probability = values.f_where_self(&is_real, &values.f_neg()?.f_add_scalar(1.0)?)?;
        let probability = match faithful {
            true => probability,
            false => probability.f_clamp_min(SMALLEST_PROBABILITY)?,
        };
        let probability = probability.f_where_self(present, &probability.f_ones_like()?)?;
        let n_present = present.f_sum(values.kind())?.f_clamp_min(1.0)?;
        let similarity = probability.f_log()?.f_sum(values.kind())?.f_neg()?.f_div(&n_present)?;
        let similarity = similarity.f_mul_scalar(similarity_weight)?;
        let total = class.f_add(&similarity)?;
        Ok(Loss { total, parts: vec![(Loss::CLASSIFICATION, class), ("similarity", similarity)] })
    }
}
