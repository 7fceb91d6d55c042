//! The layers of HMCAN on tokens of texts and regions of images.

use tch::Tensor;
use tch::nn::Path;

use super::hmcan::HmcanConfig;
use super::modalities::not_read;
use super::{ContextualTransformer, ModalityTokens};
use crate::layers::{BatchNorm, Linear};
use crate::{Error, Mode, Result};

/// The layers of HMCAN on tokens of texts and regions of images.
///
/// Parameters: `contextual_transformer1.*` and `contextual_transformer2.*` ([`ContextualTransformer`]); `image_projection.0.*`
/// (linear) and `image_projection.1.*` (batch normalization), unless images are not read; `classifier.0.*` (linear),
/// `classifier.2.*` (batch normalization), `classifier.3.*` (linear).
#[derive(Debug)]
pub struct HmcanHead {
    transformers: [ContextualTransformer; 2],
    projection: Option<(Linear, BatchNorm)>,
    hidden: Linear,
    norm: BatchNorm,
    output: Linear,
    n_levels: i64,
    alpha: f64,
}

impl HmcanHead {
    /// Creates the layers for `n_levels` levels of token vectors of length `size` and, unless images are not read, for regions of
    /// length `image_size`.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &HmcanConfig,
        [size, n_levels]: [i64; 2],
        image_size: Option<i64>,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let sizes = config.transformer_sizes(size);
        let transformer = |name: &str| ContextualTransformer::new(&(path / name), sizes);
        let projection = |image_size: i64| -> Result<_> {
            let path = path / "image_projection";
            Ok((Linear::new(&(&path / 0), image_size, size)?, BatchNorm::new(&(&path / 1), size)?))
        };
        let classifier = path / "classifier";
        Ok(Self {
            transformers: [transformer("contextual_transformer1")?, transformer("contextual_transformer2")?],
            projection: image_size.map(projection).transpose()?,
            hidden: Linear::new(&(&classifier / 0), 2 * n_levels * size, config.hidden_size)?,
            norm: BatchNorm::new(&(&classifier / 2), config.hidden_size)?,
            output: Linear::new(&(&classifier / 3), config.hidden_size, n_classes as i64)?,
            n_levels,
            alpha: config.alpha,
        })
    }

    /// Maps regions `[n, n_regions, image_size]` to `[n, n_regions, size]`.
    ///
    /// # Errors
    /// The regions have another size, or images are not read.
    pub fn project(&self, regions: &Tensor, mode: Mode) -> Result<Tensor> {
        let (linear, norm) = self.projection.as_ref().ok_or_else(|| not_read("HMCAN", "image"))?;
        let (n, n_regions, size) = regions.size3()?;
        let rows = linear.forward(&regions.f_reshape([n * n_regions, size])?)?;
        Ok(norm.forward(&rows, mode)?.f_relu()?.f_view([n, n_regions, -1])?)
    }

    /// Returns the logits `[n, n_classes]` of the tokens of each level of texts, and the projected regions of images.
    ///
    /// # Errors
    /// The number of levels is another, or the shapes do not fit.
    pub fn logits(&self, text: &[ModalityTokens], image: &ModalityTokens, mode: Mode) -> Result<Tensor> {
        if text.len() as i64 != self.n_levels {
            return Err(Error::Batch {
                model: "HMCAN",
                expected: format!("{} levels of token vectors", self.n_levels),
                got: text.len().to_string(),
            });
        }
        let [of_text, of_image] = &self.transformers;
        let level = |text: &ModalityTokens| -> Result<Tensor> {
            let first = of_text.forward(text, image, mode)?.f_mul_scalar(self.alpha)?;
            Ok(first.f_add(&of_image.forward(image, text, mode)?.f_mul_scalar(1.0 - self.alpha)?)?)
        };
        let levels: Vec<Tensor> = text.iter().map(level).collect::<Result<_>>()?;
        let hidden = self.hidden.forward(&Tensor::f_cat(&levels, 1)?)?.f_relu()?;
        self.output.forward(&self.norm.forward(&hidden, mode)?)
    }
}
