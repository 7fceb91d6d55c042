//! The encoding of texts and images in CAFE, and their alignment.

use tch::Tensor;
use tch::nn::Path;

use super::cafe_layers::{NormConvolutions, NormLayers};
use super::{CafeConfig, TokenVectors};
use crate::{Mode, Result};

/// The encoders of CAFE: texts and images to vectors of the same length.
///
/// Parameters: `shared_text_encoding.fast_cnn.<i>.*`, `shared_text_linear.*`, `shared_image.*`.
#[derive(Debug)]
pub(super) struct CafeTextEncoding {
    convolutions: NormConvolutions,
    layers: NormLayers,
}

impl CafeTextEncoding {
    /// Creates the encoder for token vectors of length `size`.
    pub(super) fn new(path: &Path<'_>, config: &CafeConfig, size: i64) -> Result<Self> {
        let CafeConfig { n_filters, kernel_sizes, text_hidden_size, shared_size, .. } = config;
        let cnn = path / "shared_text_encoding" / "fast_cnn";
        let n_features = n_filters * kernel_sizes.len() as i64;
        let sizes = [n_features, *text_hidden_size, *shared_size];
        Ok(Self {
            convolutions: NormConvolutions::new(&cnn, size, *n_filters, kernel_sizes, config.faithful)?,
            layers: NormLayers::new(&(path / "shared_text_linear"), &sizes, Some(config.dropout))?,
        })
    }

    /// Returns the vectors of texts, `[n, shared_size]`.
    pub(super) fn forward(&self, tokens: &TokenVectors, mode: Mode) -> Result<Tensor> {
        self.layers.forward(&self.convolutions.forward(tokens, mode)?, mode)
    }
}

/// Creates the encoder of images: vectors `[n, size]` to `[n, shared_size]`.
pub(super) fn image_encoding(path: &Path<'_>, config: &CafeConfig, size: i64) -> Result<NormLayers> {
    let sizes = [size, config.image_hidden_size, config.shared_size];
    NormLayers::new(&(path / "shared_image"), &sizes, Some(config.dropout))
}

/// The part of CAFE that learns with a separate optimizer to map text and image of real news to similar vectors.
///
/// Parameters: `encoding.*`, `text_aligner.*`, `image_aligner.*`.
#[derive(Debug)]
pub(super) struct CafeAlignment {
    text: CafeTextEncoding,
    image: NormLayers,
    text_aligner: NormLayers,
    image_aligner: NormLayers,
}

impl CafeAlignment {
    /// Creates the layers for token vectors and vectors of images of these lengths.
    pub(super) fn new(path: &Path<'_>, config: &CafeConfig, text: i64, image: i64) -> Result<Self> {
        let encoding = path / "encoding";
        let sizes = [config.shared_size, config.shared_size, config.aligned_size];
        Ok(Self {
            text: CafeTextEncoding::new(&encoding, config, text)?,
            image: image_encoding(&encoding, config, image)?,
            text_aligner: NormLayers::new(&(path / "text_aligner"), &sizes, None)?,
            image_aligner: NormLayers::new(&(path / "image_aligner"), &sizes, None)?,
        })
    }

    /// Returns the aligned vectors of texts and of images, each `[n, aligned_size]`.
    pub(super) fn forward(&self, tokens: &TokenVectors, images: &Tensor, mode: Mode) -> Result<[Tensor; 2]> {
        let text = self.text_aligner.forward(&self.text.forward(tokens, mode)?, mode)?;
        let image = self.image_aligner.forward(&self.image.forward(images, mode)?, mode)?;
        Ok([text, image])
    }
}
