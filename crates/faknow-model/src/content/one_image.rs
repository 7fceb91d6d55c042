//! A model of images as a function of the pixels of one image, for explanations.

use faknow_data::FieldBatch;
use tch::Tensor;

use super::{ImageInput, ImageVectors};
use crate::{ImageModel, Result};

/// Computes logits from the vectors of an image and the other fields of its sample.
type Logits<'a> = Box<dyn Fn(&ImageVectors, &FieldBatch) -> Result<Tensor> + 'a>;

/// A model as a function of the pixels of one image, whose other fields are fixed.
pub struct OneImage<'a> {
    input: &'a ImageInput,
    batch: &'a FieldBatch,
    logits: Logits<'a>,
}

impl<'a> OneImage<'a> {
    /// Creates the function for the only sample of `batch`; `None` if it has no pixels. `logits` computes the logits `[1, n_classes]`
    /// of the vectors of one image and of `batch`.
    pub fn new(
        input: &'a ImageInput,
        batch: &'a FieldBatch,
        logits: impl Fn(&ImageVectors, &FieldBatch) -> Result<Tensor> + 'a,
    ) -> Option<Self> {
        let present = &batch.images.as_ref()?.present;
        let is_one = present.size() == [1] && present.f_int64_value(&[0]).is_ok_and(|present| present != 0);
        is_one.then(|| Self { input, batch, logits: Box::new(logits) })
    }
}

impl ImageModel for OneImage<'_> {
    fn pixels(&self) -> Result<Tensor> {
        self.input.encoder().0.normalize(&self.batch.images()?.pixels)
    }

    fn logits(&self, pixels: &Tensor) -> Result<Tensor> {
        // One by one, so that the other fields need not be repeated; convolutions gain little from more images.
        let images = pixels.f_split(1, 0)?;
        let logits = images.iter().map(|image| {
            let vectors = self.input.forward_normalized(image)?;
            (self.logits)(&vectors, self.batch)
        });
        Ok(Tensor::f_cat(&logits.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
