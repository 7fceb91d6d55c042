//! The image encoder: pixels to vectors.

use tch::{Device, Kind, Tensor};

use super::architecture::{ImageArchitecture, Normalization};
use super::body::Body;
use super::head::{Head, HeadSizes};
use super::output::ImageOutput;
use crate::{Error, Mode, Result};

/// An encoder of images; [`PretrainedImageEncoder`](super::PretrainedImageEncoder) builds it.
///
/// Parameters have torchvision's names, as `layer1.0.conv1.weight` and `features.0.weight`, or those of EfficientNet-PyTorch.
#[derive(Debug)]
pub struct ImageEncoder {
    architecture: ImageArchitecture,
    body: Box<dyn Body>,
    head: Head,
    head_sizes: HeadSizes,
    n_channels: i64,
    /// Factors of pixels from 0 to 255, `[1, 3, 1, 1]`, and what is added.
    scale: Tensor,
    shift: Tensor,
}

impl ImageEncoder {
    pub(super) fn new(
        architecture: ImageArchitecture,
        body: Box<dyn Body>,
        head: Head,
        (head_sizes, n_channels): (HeadSizes, i64),
        (kind, device): (Kind, Device),
    ) -> Result<Self> {
        let Normalization { mean, std } = architecture.normalization();
        let channels = |value: &dyn Fn(usize) -> f64| {
            let values = [0, 1, 2].map(value);
            Ok::<_, Error>(
                Tensor::f_from_slice(&values)?.f_view([1, 3, 1, 1])?.f_to_kind(kind)?.f_to_device(device)?,
            )
        };
        let scale = channels(&|i| 1.0 / (255.0 * std[i]))?;
        let shift = channels(&|i| -mean[i] / std[i])?;
        Ok(Self { architecture, body, head, head_sizes, n_channels, scale, shift })
    }

    /// Merges the batch normalizations, as in evaluation, into the convolutions.
    pub(super) fn fold(mut self) -> Result<Self> {
        self.body.fold()?;
        Ok(self)
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> ImageArchitecture {
        self.architecture
    }

    /// Returns the kind (dtype) of the results.
    pub fn kind(&self) -> Kind {
        self.scale.kind()
    }

    /// Returns the length of the vectors of an output; 0 if the encoder lacks the layer.
    pub fn size(&self, output: ImageOutput) -> i64 {
        self.head_sizes.size(output, self.n_channels).unwrap_or(0)
    }

    /// Returns the normalized pixels, floats `[n, 3, height, width]`, of pixels u8 `[n, 3, height, width]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn normalize(&self, pixels: &Tensor) -> Result<Tensor> {
        Ok(pixels.f_to_kind(self.kind())?.f_mul(&self.scale)?.f_add(&self.shift)?)
    }

    /// Computes an output, `[n, n_regions, size]`, of pixels u8 `[n, 3, height, width]`, which are normalized here.
    ///
    /// # Errors
    /// The encoder lacks the layer, the tensor has another shape, or the images are too small.
    pub fn forward(&self, pixels: &Tensor, output: ImageOutput, mode: Mode) -> Result<Tensor> {
        check(pixels)?;
        self.forward_normalized(&self.normalize(pixels)?, output, mode)
    }

    /// Computes an output, `[n, n_regions, size]`, of normalized pixels, floats `[n, 3, height, width]`.
    ///
    /// # Errors
    /// As for [`forward`](Self::forward).
    pub fn forward_normalized(&self, x: &Tensor, output: ImageOutput, mode: Mode) -> Result<Tensor> {
        check(x)?;
        if self.size(output) == 0 {
            return Err(Error::Batch {
                model: "image encoder",
                expected: format!(
                    "weights of {} with the layers of the output {output:?}",
                    self.architecture
                ),
                got: "weights without them".into(),
            });
        }
        self.head.forward(&self.body.forward(x, mode)?, output, mode)
    }
}

fn check(pixels: &Tensor) -> Result<()> {
    match pixels.size()[..] {
        [_, 3, _, _] => Ok(()),
        ref size => Err(Error::Batch {
            model: "image encoder",
            expected: "pixels [n, 3, height, width]".into(),
            got: format!("{size:?}"),
        }),
    }
}
