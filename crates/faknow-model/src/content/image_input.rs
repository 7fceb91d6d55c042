//! Vectors of images from an image encoder: the first layer of models of images.

use faknow_data::FieldBatch;
use tch::Tensor;
use tch::nn::Path;

use crate::image::{ImageEncoder, ImageOutput, PretrainedImageEncoder};
use crate::{Error, Mode, Result};

/// The first layer of a model of images: an encoder and the output that is read.
///
/// A frozen encoder is not part of the model: its weights are neither trained nor saved with those of the model, it runs in
/// [`Mode::Eval`], and its output may be computed in advance (`encoded_images` of a batch).
#[derive(Debug)]
pub enum ImageInput {
    /// An encoder that is not trained, outside of the model.
    Frozen(ImageEncoder, ImageOutput),
    /// An encoder that is trained, part of the model.
    Trained(ImageEncoder, ImageOutput),
}

/// Vectors of the images of a batch.
#[derive(Debug)]
pub struct ImageVectors {
    /// The vectors, `[n, n_regions, size]`; zeros for a missing image.
    pub vectors: Tensor,
    /// Which samples have an image, bool `[n]`.
    pub present: Tensor,
}

impl ImageVectors {
    /// Returns the vectors `[n, size]` of an output with one region.
    ///
    /// # Errors
    /// There are several regions.
    pub fn vector(&self) -> Result<Tensor> {
        match self.vectors.size()[..] {
            [_, 1, _] => Ok(self.vectors.f_squeeze_dim(1)?),
            ref size => Err(Error::Batch {
                model: "image input",
                expected: "one vector per image".into(),
                got: format!("vectors of shape {size:?}"),
            }),
        }
    }
}

impl ImageInput {
    /// Creates the layer, with its weights at `path` if they are part of the model. An encoder with random weights
    /// ([`PretrainedImageEncoder::small`]) always is.
    ///
    /// # Errors
    /// The encoder lacks the layers of the output, or its weights do not fit.
    pub fn new(
        path: &Path<'_>,
        encoder: &PretrainedImageEncoder,
        output: ImageOutput,
        is_trainable: bool,
    ) -> Result<Self> {
        if encoder.size(output).is_none() {
            return Err(Error::Config {
                model: "image encoder",
                name: "output",
                expected: format!("a layer that the file of {} has", encoder.architecture()),
                got: format!("{output:?}"),
            });
        }
        Ok(if is_trainable || encoder.weights().is_none() {
            Self::Trained(encoder.build(path)?, output)
        } else {
            Self::Frozen(encoder.build_frozen((path.kind(), path.device()))?, output)
        })
    }

    /// Returns the length of the vectors.
    pub fn size(&self) -> i64 {
        let (encoder, output) = self.encoder();
        encoder.size(output)
    }

    /// Returns the encoder and the output that is read.
    pub fn encoder(&self) -> (&ImageEncoder, ImageOutput) {
        let (Self::Frozen(encoder, output) | Self::Trained(encoder, output)) = self;
        (encoder, *output)
    }

    /// Returns the vectors of the images of a batch: of `encoded_images` if the encoder is frozen and the batch has them, else of
    /// `images`. Missing images do not affect the others.
    ///
    /// # Errors
    /// The batch does not have images, or they do not fit the encoder.
    pub fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<ImageVectors> {
        let (encoder, output) = self.encoder();
        match (self, &batch.encoded_images) {
            (Self::Frozen(..), Some(encoded)) => Ok(ImageVectors {
                vectors: encoded.vectors.f_to_kind(encoder.kind())?,
                present: encoded.lengths.f_gt(0)?,
            }),
            (Self::Frozen(..), None) => {
                tch::no_grad(|| of_images(encoder, output, batch.images()?, Mode::Eval))
            }
            (Self::Trained(..), _) => of_images(encoder, output, batch.images()?, mode),
        }
    }

    /// Returns the vectors of normalized pixels, floats `[n, 3, height, width]`, as in [`Mode::Eval`], with gradients.
    ///
    /// # Errors
    /// The images are too small for the encoder.
    pub fn forward_normalized(&self, pixels: &Tensor) -> Result<ImageVectors> {
        let (encoder, output) = self.encoder();
        let vectors = encoder.forward_normalized(pixels, output, Mode::Eval)?;
        let present = Tensor::f_ones([pixels.size()[0]], (tch::Kind::Bool, pixels.device()))?;
        Ok(ImageVectors { vectors, present })
    }
}

fn of_images(
    encoder: &ImageEncoder,
    output: ImageOutput,
    images: &faknow_data::image::Images,
    mode: Mode,
) -> Result<ImageVectors> {
    let (pixels, present) = (&images.pixels, images.present.shallow_clone());
    let rows = present.f_nonzero()?.f_squeeze_dim(1)?;
    let (n, n_present) = (present.size()[0], rows.size()[0]);
    if n_present == n && n > 0 {
        return Ok(ImageVectors { vectors: encoder.forward(pixels, output, mode)?, present });
    }
    let zeros = |like: &Tensor| {
        let (_, n_regions, size) = like.size3()?;
        Tensor::f_zeros([n, n_regions, size], (like.kind(), like.device()))
    };
    let vectors = if n_present == 0 {
        // Only the number of regions of an image of this size matters.
        let (_, channels, height, width) = pixels.size4()?;
        let blank = Tensor::f_zeros([1, channels, height, width], (pixels.kind(), pixels.device()))?;
        zeros(&tch::no_grad(|| encoder.forward(&blank, output, Mode::Eval))?)?
    } else {
        let vectors = encoder.forward(&pixels.f_index_select(0, &rows)?, output, mode)?;
        zeros(&vectors)?.f_index_copy(0, &rows, &vectors)?
    };
    Ok(ImageVectors { vectors, present })
}
