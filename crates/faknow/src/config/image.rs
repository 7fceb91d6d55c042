//! The table `[image]` of a config: how images are read, and the encoder that reads them.

use std::path::PathBuf;

use faknow_data::image::{ImageOptions, OnImageProblem, Resize};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Smallest and largest size of an image in pixels.
const SIZES: std::ops::RangeInclusive<u32> = 32..=1024;

/// Reading of images, and their encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// File of the weights of a pretrained image encoder, with the names of torchvision (VGG, ResNet) or of EfficientNet-PyTorch
    /// (EfficientNet-Lite0): `.pth` or `.safetensors`. Default: none, a small ResNet is trained from scratch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<PathBuf>,
    /// Height and width to which images are resized, from 32 to 1024 pixels. Default 224.
    pub size: u32,
    /// How images that are not square are resized. Default [`Resize::Crop`].
    pub resize: Resize,
    /// Maximum number of pixels of a file, in millions, at least 1. Default 50.
    pub max_megapixels: u64,
    /// What happens to an image that is missing, broken or too large. Default [`OnImageProblem::Error`].
    pub on_problem: OnImageProblem,
    /// Maximum memory in MiB for the pixels of a dataset; images beyond it are decoded again for each batch. Default 1024.
    pub memory: u64,
    /// Directory of decoded pixels for later runs with the same images, of at most 10 GiB. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            encoder: None,
            size: 224,
            resize: Resize::Crop,
            max_megapixels: 50,
            on_problem: OnImageProblem::Error,
            memory: 1024,
            cache: None,
        }
    }
}

impl ImageConfig {
    /// Checks the ranges of the settings.
    ///
    /// # Errors
    /// A setting is out of range; the error has its name.
    pub(crate) fn validate(&self) -> Result<()> {
        if !SIZES.contains(&self.size) {
            let message =
                format!("expected from {} to {} pixels, got {}", SIZES.start(), SIZES.end(), self.size);
            return Err(Error::config("image.size", message));
        }
        if self.max_megapixels == 0 {
            return Err(Error::config("image.max_megapixels", "expected at least 1, got 0"));
        }
        Ok(())
    }

    /// Returns the options for reading images.
    pub(crate) fn options(&self) -> ImageOptions {
        ImageOptions {
            size: self.size,
            resize: self.resize,
            max_pixels: self.max_megapixels.saturating_mul(1_000_000),
            on_problem: self.on_problem,
            memory: usize::try_from(self.memory.saturating_mul(1 << 20)).unwrap_or(usize::MAX),
            cache: self.cache.clone(),
            ..ImageOptions::default()
        }
    }
}
