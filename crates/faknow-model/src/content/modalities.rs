//! The modalities of a post: text and image.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use crate::image::{ImageOutput, PretrainedImageEncoder};
use crate::layers::MissingEmbedding;
use crate::{Error, Result};

use super::{ImageInput, TextSource};

/// The modalities that a multimodal model reads, for ablations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modalities {
    /// Text and image.
    #[default]
    Both,
    /// The text; all images count as missing.
    Text,
    /// The image; all texts count as missing.
    Image,
}

/// Lengths of the vectors that a model reads of each modality; `None` for a modality that it does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModalitySizes {
    /// Length of the token vectors.
    pub text: Option<i64>,
    /// Length of the vectors of images.
    pub image: Option<i64>,
}

impl Modalities {
    /// Returns whether texts are read.
    pub fn has_text(self) -> bool {
        self != Self::Image
    }

    /// Returns whether images are read.
    pub fn has_image(self) -> bool {
        self != Self::Text
    }

    /// Returns the source of token vectors, `None` if texts are not read.
    pub(super) fn text<'a, 'b>(self, source: &'b TextSource<'a>) -> Option<&'b TextSource<'a>> {
        Some(source).filter(|_| self.has_text())
    }

    /// Creates the input of images at `path`, `None` if images are not read or there is no encoder.
    ///
    /// # Errors
    /// [`Error::Config`]: only images are read, and there is no encoder; the encoder lacks the output.
    pub(super) fn image_input(
        self,
        model: &'static str,
        path: &Path<'_>,
        encoder: Option<&PretrainedImageEncoder>,
        output: impl FnOnce(&PretrainedImageEncoder) -> ImageOutput,
        is_trainable: bool,
    ) -> Result<Option<ImageInput>> {
        match encoder {
            Some(encoder) if self.has_image() => {
                ImageInput::new(path, encoder, output(encoder), is_trainable).map(Some)
            }
            None if self == Self::Image => Err(Error::Config {
                model,
                name: "modalities",
                expected: "`both` or `text` without an image encoder".into(),
                got: "`image`".into(),
            }),
            _ => Ok(None),
        }
    }
}

/// Returns this output of an image encoder or, if its file lacks the layer, the pooled features.
pub(super) fn or_pooled(encoder: &PretrainedImageEncoder, output: ImageOutput) -> ImageOutput {
    match encoder.size(output) {
        Some(_) => output,
        None => ImageOutput::Pooled,
    }
}

/// Returns the features of a modality of `n` samples, `[n, size]`: those of `features`, a tensor `[n, size]` and which samples are
/// present, bool `[n]`, and the learned vector for missing ones, which all are without `features`.
pub(super) fn or_missing(
    missing: &MissingEmbedding,
    features: Option<(&Tensor, &Tensor)>,
    n: i64,
) -> Result<Tensor> {
    match features {
        Some((features, present)) => missing.forward(features, present),
        None => missing.repeated(n),
    }
}

/// Returns which texts have tokens, bool `[n]`, for which columns are tokens, bool `[n, len]`.
pub(super) fn present_texts(mask: &Tensor) -> Result<Tensor> {
    Ok(mask.f_any_dim(1, false)?)
}

/// Returns the error of a layer of a modality that the model does not read.
pub(super) fn not_read(model: &'static str, modality: &str) -> Error {
    Error::Batch { model, expected: format!("a model that reads {modality}s"), got: format!("a {modality}") }
}
