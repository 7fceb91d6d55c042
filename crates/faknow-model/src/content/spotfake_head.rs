//! The layers of SpotFake on vectors of texts and images.

use tch::Tensor;
use tch::nn::Path;

use super::modalities::not_read;
use super::spotfake::NAME;
use super::{ModalitySizes, SpotFakeConfig, class_logits, n_outputs};
use crate::layers::{Linear, dropout};
use crate::{Mode, Result};

/// The layers of SpotFake on vectors of texts and images.
///
/// Parameters: `model.text_encoder.text_enc_fc1.*` and `text_enc_fc2.*`, `model.vision_encoder.vis_enc_fc1.*` and
/// `vis_enc_fc2.*`, `model.fusion.*`, `model.fc.*`; those of a modality that is not read do not exist.
#[derive(Debug)]
pub struct SpotFakeHead {
    text: Option<[Linear; 2]>,
    image: Option<[Linear; 2]>,
    fusion: Linear,
    classifier: Linear,
    dropout: f64,
}

impl SpotFakeHead {
    /// Creates the layers for vectors of these lengths.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        config: &SpotFakeConfig,
        sizes: ModalitySizes,
        n_classes: usize,
    ) -> Result<Self> {
        config.validate(n_classes)?;
        let path = path / "model";
        let layers = |names: [&str; 3], size: i64, hidden: i64, n_out: i64| -> Result<[Linear; 2]> {
            let [encoder, first, second] = names;
            let path = &path / encoder;
            Ok([Linear::new(&(&path / first), size, hidden)?, Linear::new(&(&path / second), hidden, n_out)?])
        };
        let SpotFakeConfig { text_size, image_size, fusion_size, .. } = *config;
        let text = sizes.text.map(|size| {
            let names = ["text_encoder", "text_enc_fc1", "text_enc_fc2"];
            layers(names, size, config.text_hidden_size, text_size)
        });
        let image = sizes.image.map(|size| {
            let names = ["vision_encoder", "vis_enc_fc1", "vis_enc_fc2"];
            layers(names, size, config.image_hidden_size, image_size)
        });
        Ok(Self {
            text: text.transpose()?,
            image: image.transpose()?,
            fusion: Linear::new(&(&path / "fusion"), text_size + image_size, fusion_size)?,
            classifier: Linear::new(&(&path / "fc"), fusion_size, n_outputs(n_classes))?,
            dropout: config.dropout,
        })
    }

    /// Returns the features of texts, `[n, text_size]`, from their vectors `[n, size]`.
    ///
    /// # Errors
    /// The vectors have another length, or texts are not read.
    pub fn text(&self, vectors: &Tensor, mode: Mode) -> Result<Tensor> {
        self.reduce(self.text.as_ref().ok_or_else(|| not_read(NAME, "text"))?, vectors, mode)
    }

    /// Returns the features of images, `[n, image_size]`, from their vectors `[n, size]`.
    ///
    /// # Errors
    /// The vectors have another length, or images are not read.
    pub fn image(&self, vectors: &Tensor, mode: Mode) -> Result<Tensor> {
        self.reduce(self.image.as_ref().ok_or_else(|| not_read(NAME, "image"))?, vectors, mode)
    }

    /// Returns the logits `[n, n_classes]` of features of texts and images.
    ///
    /// # Errors
    /// The features have another size.
    pub fn logits(&self, text: &Tensor, image: &Tensor, mode: Mode) -> Result<Tensor> {
        let features = dropout(&Tensor::f_cat(&[text, image], 1)?, self.dropout, mode)?;
        let hidden = dropout(&self.fusion.forward(&features)?.f_relu()?, self.dropout, mode)?;
        class_logits(self.classifier.forward(&hidden)?)
    }

    fn reduce(&self, layers: &[Linear; 2], vectors: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut features = vectors.shallow_clone();
        for layer in layers {
            features = dropout(&layer.forward(&features)?.f_relu()?, self.dropout, mode)?;
        }
        Ok(features)
    }
}
