//! Options of images: size, limits, and where their pixels are stored.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Maximum size of an image in pixels: its planes in memory stay below 200 MB.
const MAX_SIZE: u32 = 8_192;

/// How an image becomes a square.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Resizes the short side to 256/224 of the size and crops the center, as torchvision's `Resize` and `CenterCrop` do.
    #[default]
    Crop,
    /// Resizes to the size in both directions, which changes the aspect ratio.
    Stretch,
}

/// What happens if an image is missing, broken or too large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnImageProblem {
    /// It is an error.
    #[default]
    Error,
    /// The post has no image; the problem is listed.
    Missing,
}

/// How images become pixels, and where these are stored.
///
/// ```
/// use faknow_data::image::{ImageOptions, Resize};
///
/// let options = ImageOptions { size: 64, resize: Resize::Stretch, ..ImageOptions::default() };
/// assert!(options.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageOptions {
    /// Width and height in pixels, from 1 to 8,192; default 224.
    pub size: u32,
    /// How an image becomes a square; default [`Resize::Crop`].
    pub resize: Resize,
    /// Maximum number of pixels of a file, by its header; default 50 million. Decoding takes up to 8 bytes per pixel.
    pub max_pixels: u64,
    /// What happens if an image cannot be used; default [`OnImageProblem::Error`].
    pub on_problem: OnImageProblem,
    /// Maximum number of bytes of pixels of a dataset in memory; default 1 GiB. Further images are decoded for each batch.
    pub memory: usize,
    /// Directory in which decoded pixels are stored for later runs, created if missing; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Maximum number of bytes of the directory, beyond which the oldest files are removed; default 10 GiB.
    pub cache_bytes: u64,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            size: 224,
            resize: Resize::default(),
            max_pixels: 50_000_000,
            on_problem: OnImageProblem::default(),
            memory: 1 << 30,
            cache: None,
            cache_bytes: 10 << 30,
        }
    }
}

impl ImageOptions {
    /// Checks the ranges of the options.
    ///
    /// # Errors
    /// [`Error::Setting`]: the size is out of range, or no pixels are allowed.
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_SIZE).contains(&self.size) {
            let expected = format!("a number of pixels from 1 to {MAX_SIZE}");
            return Err(Error::Setting { name: "image.size", expected, got: self.size.to_string() });
        }
        if self.max_pixels == 0 {
            let expected = "at least 1".to_owned();
            return Err(Error::Setting { name: "image.max_pixels", expected, got: "0".to_owned() });
        }
        Ok(())
    }

    /// Returns the number of bytes of an image, `3 * size * size`.
    pub(crate) fn n_values(&self) -> usize {
        3 * self.size as usize * self.size as usize
    }
}
