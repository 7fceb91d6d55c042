//! The layers of CAFE on token vectors and vectors of images.

use tch::nn::Path;
use tch::{Kind, Reduction, Tensor};

use super::cafe_ambiguity::{Ambiguity, Correlation};
use super::cafe_encoding::{CafeAlignment, CafeTextEncoding, image_encoding};
use super::cafe_layers::NormLayers;
use super::modalities::present_texts;
use super::{CafeConfig, ImageVectors, ModalitySizes, TokenVectors};
use crate::layers::{Linear, MissingEmbedding};
use crate::{Mode, Result};

/// Number of samples by which images are rolled to get pairs that do not match.
const SHIFT: i64 = 3;

/// What the layers of CAFE read of a batch; `None` for a modality that is not read.
#[derive(Debug)]
pub struct CafeInput {
    /// The token vectors of the texts.
    pub tokens: Option<TokenVectors>,
    /// The vectors of the images, one per image.
    pub images: Option<ImageVectors>,
}

/// The outputs of [`CafeHead`] for a batch.
#[derive(Debug)]
pub struct CafeOutput {
    /// Class logits, `[n, n_classes]`.
    pub logits: Tensor,
    /// Aligned vectors of texts and of images, each `[n_complete, aligned_size]`, of the posts that have both; `None` if there are
    /// none.
    pub aligned: Option<[Tensor; 2]>,
}

/// The layers of CAFE on token vectors and vectors of images.
///
/// Parameters: `similarity_module.*` (the alignment, which has a separate optimizer); `encoding.*`, `uni_modal.text_uni.*`,
/// `uni_modal.image_uni.*`; `ambiguity_module.*`, `cross_modal.*`; `classifier.0.*`, `classifier.1.*`, `classifier.3.*`,
/// `classifier.4.*` and `classifier.6.*`; `missing_text.embedding` and `missing_image.embedding`, the unimodal features of posts
/// without text or image. Those of a modality that is not read do not exist, and without both modalities none of those that
/// compare them.
#[derive(Debug)]
pub struct CafeHead {
    text: Option<(CafeTextEncoding, NormLayers)>,
    image: Option<(NormLayers, NormLayers)>,
    missing_text: MissingEmbedding,
    missing_image: MissingEmbedding,
    pair: Option<Pair>,
    hidden: NormLayers,
    classifier: Linear,
    config: CafeConfig,
}

/// The layers that compare text and image.
#[derive(Debug)]
struct Pair {
    alignment: CafeAlignment,
    ambiguity: Ambiguity,
    correlation: Correlation,
}

impl CafeHead {
    /// Creates the layers for vectors of these lengths.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &CafeConfig, sizes: ModalitySizes, n_classes: usize) -> Result<Self> {
        config.validate(n_classes)?;
        let CafeConfig { shared_size, unimodal_size, cross_size, hidden_size, .. } = *config;
        let encoding = path / "encoding";
        let unimodal = |name: &str| {
            NormLayers::new(&(path / "uni_modal" / name), &[shared_size, shared_size, unimodal_size], None)
        };
        let text = sizes.text.map(|size| {
            Ok::<_, crate::Error>((CafeTextEncoding::new(&encoding, config, size)?, unimodal("text_uni")?))
        });
        let image = sizes.image.map(|size| {
            Ok::<_, crate::Error>((image_encoding(&encoding, config, size)?, unimodal("image_uni")?))
        });
        let pair = sizes.text.zip(sizes.image).map(|(text, image)| {
            Ok::<_, crate::Error>(Pair {
                alignment: CafeAlignment::new(&(path / "similarity_module"), config, text, image)?,
                ambiguity: Ambiguity::new(&(path / "ambiguity_module"), config)?,
                correlation: Correlation::new(&(path / "cross_modal"), config)?,
            })
        });
        let classifier = path / "classifier";
        let n_features = 2 * unimodal_size + cross_size;
        Ok(Self {
            text: text.transpose()?,
            image: image.transpose()?,
            missing_text: MissingEmbedding::new(&(path / "missing_text"), unimodal_size)?,
            missing_image: MissingEmbedding::new(&(path / "missing_image"), unimodal_size)?,
            pair: pair.transpose()?,
            hidden: NormLayers::new(&classifier, &[n_features, hidden_size, hidden_size], None)?,
            classifier: Linear::new(&(&classifier / 6), hidden_size, n_classes as i64)?,
            config: config.clone(),
        })
    }

    /// Computes the outputs for `n` posts. A post that lacks text or image has no ambiguity, so that only its unimodal features
    /// count. Missing texts and images do not change the statistics of batch normalization.
    ///
    /// # Errors
    /// The vectors have other lengths.
    pub fn outputs(&self, input: &CafeInput, n: i64, mode: Mode) -> Result<CafeOutput> {
        let mut text = self.missing_text.repeated(n)?;
        if let (Some((encoding, unimodal)), Some(tokens)) = (&self.text, &input.tokens) {
            let rows = Rows::new(&present_texts(&tokens.mask)?)?;
            if rows.n > 0 {
                let vectors = encoding.forward(&rows.of_tokens(tokens)?, mode)?;
                text = rows.insert(text, unimodal.forward(&vectors, mode)?)?;
            }
        }
        let mut image = self.missing_image.repeated(n)?;
        if let (Some((encoding, unimodal)), Some(images)) = (&self.image, &input.images) {
            let rows = Rows::new(&images.present)?;
            if rows.n > 0 {
                let vectors = encoding.forward(&rows.of(&images.vector()?)?, mode)?;
                image = rows.insert(image, unimodal.forward(&vectors, mode)?)?;
            }
        }
        let options = (text.kind(), text.device());
        let mut ambiguity = Tensor::f_zeros([n, 1], options)?;
        let mut cross = Tensor::f_zeros([n, self.config.cross_size], options)?;
        let mut aligned = None;
        if let (Some(pair), CafeInput { tokens: Some(tokens), images: Some(images) }) = (&self.pair, input) {
            let rows = Rows::new(&present_texts(&tokens.mask)?.f_logical_and(&images.present)?)?;
            if rows.n > 0 {
                let [text, image] =
                    pair.alignment.forward(&rows.of_tokens(tokens)?, &rows.of(&images.vector()?)?, mode)?;
                ambiguity = rows.insert(ambiguity, pair.ambiguity.forward(&text, &image, mode)?)?;
                cross = rows.insert(cross, pair.correlation.forward(&text, &image, mode)?)?;
                aligned = Some([text, image]);
            }
        }
        let certainty = ambiguity.f_neg()?.f_add_scalar(1.0)?;
        let features = [text.f_mul(&certainty)?, image.f_mul(&certainty)?, cross.f_mul(&ambiguity)?];
        let hidden = self.hidden.forward(&Tensor::f_cat(&features, 1)?, mode)?;
        Ok(CafeOutput { logits: self.classifier.forward(&hidden)?, aligned })
    }

    /// Returns the loss of the alignment for class indices i64 `[n]`: the cosine embedding loss of texts and images of real posts
    /// that match, and of the same texts with images of other real posts. `None` if fewer than two real posts have both.
    ///
    /// # Errors
    /// The vectors have other lengths.
    pub fn similarity_loss(&self, input: &CafeInput, labels: &Tensor, mode: Mode) -> Result<Option<Tensor>> {
        let (Some(pair), CafeInput { tokens: Some(tokens), images: Some(images) }) = (&self.pair, input)
        else {
            return Ok(None);
        };
        let complete = present_texts(&tokens.mask)?.f_logical_and(&images.present)?;
        let rows = Rows::new(&complete.f_logical_and(&labels.f_eq(self.config.real_class)?)?)?;
        if rows.n < 2 {
            return Ok(None);
        }
        let images = rows.of(&images.vector()?)?;
        let [texts, images] = pair.alignment.forward(&rows.of_tokens(tokens)?, &images, mode)?;
        // Three samples would come back to their own images.
        let shift = if rows.n == SHIFT { 1 } else { SHIFT };
        let others = images.f_roll([shift], [0])?;
        let is_match = Tensor::f_ones([rows.n], (texts.kind(), texts.device()))?;
        Ok(Some(Tensor::f_cosine_embedding_loss(
            &Tensor::f_cat(&[&texts, &texts], 0)?,
            &Tensor::f_cat(&[&images, &others], 0)?,
            &Tensor::f_cat(&[&is_match, &is_match.f_neg()?], 0)?,
            0.0,
            Reduction::Mean,
        )?))
    }
}

/// The samples of a batch that have what a layer reads.
struct Rows {
    /// Their indices, i64 `[n]`; `None` if these are all samples.
    indices: Option<Tensor>,
    n: i64,
}

impl Rows {
    /// Creates the rows that `present`, bool `[n]`, marks.
    fn new(present: &Tensor) -> Result<Self> {
        let n = present.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        let is_partial = n < present.size()[0];
        let indices = is_partial.then(|| present.f_nonzero()?.f_squeeze_dim(1)).transpose()?;
        Ok(Self { indices, n })
    }

    fn of(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.indices {
            Some(indices) => x.f_index_select(0, indices)?,
            None => x.shallow_clone(),
        })
    }

    fn of_tokens(&self, tokens: &TokenVectors) -> Result<TokenVectors> {
        Ok(TokenVectors::new(self.of(&tokens.vectors)?, self.of(&tokens.mask)?))
    }

    /// Returns `all` with these rows replaced by `rows`.
    fn insert(&self, all: Tensor, rows: Tensor) -> Result<Tensor> {
        Ok(match &self.indices {
            Some(indices) => all.f_index_copy(0, indices, &rows)?,
            None => rows,
        })
    }
}
