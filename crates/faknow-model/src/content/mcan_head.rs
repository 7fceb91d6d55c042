//! The layers of MCAN on vectors of texts and images.

use tch::Tensor;
use tch::nn::Path;

use super::ModalitySizes;
use super::mcan::{McanConfig, NAME};
use super::mcan_fusion::CoAttention;
use super::modalities::not_read;
use crate::layers::{BatchNorm, BlockFrequencies, DctCnn, Linear, dropout};
use crate::{Mode, Result};

/// The layers of MCAN on vectors of texts and images and the frequencies of the latter.
///
/// Parameters: `linear_text.*`, `bn_text.*`, `linear_vgg.*`, `bn_vgg.*`, `linear_dct.*`, `bn_dct.*`, `dct_img.*` ([`DctCnn`]),
/// `fusion_layers.<i>.*` ([`CoAttention`]), `linear1.*`, `linear2.*`; those of a modality that is not read do not exist.
#[derive(Debug)]
pub struct McanHead {
    text: Option<Reduction>,
    image: Option<Reduction>,
    frequencies: Option<(DctCnn, Reduction)>,
    fusion: Vec<CoAttention>,
    classifier: [Linear; 2],
    dropout: f64,
}

/// A linear layer with ReLU, dropout and batch normalization.
#[derive(Debug)]
struct Reduction {
    linear: Linear,
    norm: Option<BatchNorm>,
    dropout: f64,
}

impl Reduction {
    fn new(path: &Path<'_>, name: &str, n_in: i64, config: &McanConfig) -> Result<Self> {
        let norm = || BatchNorm::new(&(path / format!("bn_{name}")), config.model_size);
        Ok(Self {
            linear: Linear::new(&(path / format!("linear_{name}")), n_in, config.model_size)?,
            norm: config.batch_norm.then(norm).transpose()?,
            dropout: config.feature_dropout,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let features = dropout(&self.linear.forward(x)?.f_relu()?, self.dropout, mode)?;
        match &self.norm {
            Some(norm) => norm.forward(&features, mode),
            None => Ok(features),
        }
    }
}

impl McanHead {
    /// Creates the layers for vectors of these lengths.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &McanConfig, sizes: ModalitySizes, n_classes: usize) -> Result<Self> {
        config.validate(n_classes)?;
        let reduction = |name: &str, n_in| Reduction::new(path, name, n_in, config);
        let frequencies = || -> Result<_> {
            let dct = DctCnn::new(&(path / "dct_img"), config.dct_sizes())?;
            let n_features = dct.n_features(BlockFrequencies::BLOCKS);
            Ok((dct, reduction("dct", n_features)?))
        };
        let fusion = path / "fusion_layers";
        let layers = (0..config.n_layers).map(|i| CoAttention::new(&(&fusion / i), config.fusion_sizes()));
        Ok(Self {
            text: sizes.text.map(|size| reduction("text", size)).transpose()?,
            image: sizes.image.map(|size| reduction("vgg", size)).transpose()?,
            frequencies: sizes.image.map(|_| frequencies()).transpose()?,
            fusion: layers.collect::<Result<_>>()?,
            classifier: [
                Linear::new(&(path / "linear1"), config.model_size, config.hidden_size)?,
                Linear::new(&(path / "linear2"), config.hidden_size, n_classes as i64)?,
            ],
            dropout: config.dropout,
        })
    }

    /// Returns the features of texts, `[n, model_size]`, from their vectors `[n, size]`.
    ///
    /// # Errors
    /// The vectors have another length, or texts are not read.
    pub fn text(&self, vectors: &Tensor, mode: Mode) -> Result<Tensor> {
        self.text.as_ref().ok_or_else(|| not_read(NAME, "text"))?.forward(vectors, mode)
    }

    /// Returns the features of images, `[n, model_size]`, from their vectors `[n, size]`.
    ///
    /// # Errors
    /// The vectors have another length, or images are not read.
    pub fn image(&self, vectors: &Tensor, mode: Mode) -> Result<Tensor> {
        self.image.as_ref().ok_or_else(|| not_read(NAME, "image"))?.forward(vectors, mode)
    }

    /// Returns the features of the frequencies of images, `[n, model_size]`, from those of their blocks, `[n, 64, 250]`
    /// ([`BlockFrequencies`]).
    ///
    /// # Errors
    /// The shape is another, or images are not read.
    pub fn frequencies(&self, blocks: &Tensor, mode: Mode) -> Result<Tensor> {
        let (dct, reduction) = self.frequencies.as_ref().ok_or_else(|| not_read(NAME, "image"))?;
        reduction.forward(&dct.forward(blocks, mode)?, mode)
    }

    /// Returns the logits `[n, n_classes]` of features of texts, images and frequencies, each `[n, model_size]`.
    ///
    /// # Errors
    /// The features have another size.
    pub fn logits(&self, text: &Tensor, image: &Tensor, frequencies: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut fused = image.shallow_clone();
        for other in [frequencies, text] {
            for layer in &self.fusion {
                fused = layer.forward(&fused, other, mode)?;
            }
        }
        let [first, second] = &self.classifier;
        second.forward(&dropout(&first.forward(&fused)?.f_relu()?, self.dropout, mode)?)
    }
}
