//! A pretrained image encoder: architecture, sizes and weights.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use tch::{Tensor, nn};

use super::architecture::ImageArchitecture;
use super::body::Body;
use super::efficientnet::{self, EfficientNetSizes};
use super::encoder::ImageEncoder;
use super::head::HeadSizes;
use super::output::ImageOutput;
use super::params::{Log, Params};
use super::resnet::{self, ResNetSizes};
use super::shapes::{Shapes, Tensors};
use super::vgg::{self, VggSizes};
use crate::{Error, Result, weights};

/// The names by which architectures are recognized.
const SIGNATURES: [(&str, &str); 3] = [
    ("VGG", "features.0.weight"),
    ("ResNet", "layer1.0.conv1.weight"),
    ("EfficientNet-Lite0", "_conv_stem.weight"),
];

/// Number of channels of the first stage of [`PretrainedImageEncoder::small`].
const SMALL_WIDTH: i64 = 16;

/// The batch counter of PyTorch's batch normalization, which is not needed.
const BATCH_COUNTER: &str = "num_batches_tracked";

/// The architecture and the weights of an image encoder, from which models build theirs.
///
/// ```
/// use faknow_model::Mode;
/// use faknow_model::image::{ImageOutput, PretrainedImageEncoder};
/// use tch::{Device, Tensor, nn::VarStore};
///
/// let pretrained = PretrainedImageEncoder::small();
/// assert_eq!(pretrained.architecture().name(), "ResNet-18");
/// let vars = VarStore::new(Device::Cpu);
/// let encoder = pretrained.build(&vars.root())?;
/// let pixels = Tensor::randint(256, [2, 3, 64, 64], (tch::Kind::Uint8, Device::Cpu));
/// assert_eq!(encoder.forward(&pixels, ImageOutput::Pooled, Mode::Eval)?.size(), [2, 1, 128]);
/// assert_eq!(encoder.forward(&pixels, ImageOutput::Regions, Mode::Eval)?.size(), [2, 4, 128]);
/// # Ok::<(), faknow_model::Error>(())
/// ```
#[derive(Debug)]
pub struct PretrainedImageEncoder {
    sizes: BodySizes,
    head: HeadSizes,
    weights: Option<Tensors>,
    origin: PathBuf,
}

impl PretrainedImageEncoder {
    /// Reads a file of weights (`.pth` or safetensors) of torchvision's VGG or ResNet, or of EfficientNet-Lite0 with the names of
    /// EfficientNet-PyTorch. See [`weights::read`] for the formats and [`new`](Self::new) for the names.
    ///
    /// # Errors
    /// The file cannot be read, or the architecture is not supported.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(weights::read(path)?, path.to_path_buf())
    }

    /// Creates an encoder from weights; `origin` is their file in errors.
    ///
    /// The architecture, the number of layers and their sizes follow from the names and shapes. A prefix of the names, such as
    /// `module.` or `backbone.`, is removed. The fully connected layers may be missing.
    ///
    /// # Errors
    /// [`Error::Weights`]: the architecture is not supported.
    pub fn new(weights: Tensors, origin: PathBuf) -> Result<Self> {
        let invalid = |problem: String| Error::Weights { path: origin.clone(), report: vec![problem] };
        let (signature, weights) = strip_prefix(weights).map_err(invalid)?;
        let shapes = Shapes(&weights);
        let sizes = match signature {
            0 => VggSizes::read(shapes).map(BodySizes::Vgg),
            1 => ResNetSizes::read(shapes).map(BodySizes::ResNet),
            _ => EfficientNetSizes::read(shapes).map(BodySizes::EfficientNet),
        };
        let sizes = sizes.map_err(invalid)?;
        let head = match &sizes {
            BodySizes::Vgg(vgg) => HeadSizes::grid(shapes, vgg.n_channels()).map_err(invalid)?,
            BodySizes::ResNet(_) => HeadSizes::mean(shapes, "fc"),
            BodySizes::EfficientNet(_) => HeadSizes::mean(shapes, "_fc"),
        };
        Ok(Self { sizes, head, weights: Some(weights), origin })
    }

    /// Creates a small ResNet with 18 layers and 16 to 128 channels, without fully connected layer and with random weights, for
    /// training from scratch.
    pub fn small() -> Self {
        Self {
            sizes: BodySizes::ResNet(ResNetSizes::thin_18(SMALL_WIDTH)),
            head: HeadSizes::Mean { name: "fc", n_logits: None },
            weights: None,
            origin: PathBuf::new(),
        }
    }

    /// Returns the architecture.
    pub fn architecture(&self) -> ImageArchitecture {
        match &self.sizes {
            BodySizes::Vgg(vgg) => ImageArchitecture::Vgg { n_layers: vgg.n_layers() },
            BodySizes::ResNet(resnet) => ImageArchitecture::ResNet { n_layers: resnet.n_layers() },
            BodySizes::EfficientNet(_) => ImageArchitecture::EfficientNetLite0,
        }
    }

    /// Returns the length of the vectors of an output; `None` if the file lacks the layer.
    pub fn size(&self, output: ImageOutput) -> Option<i64> {
        self.head.size(output, self.sizes.n_channels())
    }

    /// Returns an output with the length of its vectors, or [`ImageOutput::Pooled`] if the file lacks its layer; `None` if it lacks
    /// both.
    pub fn output_or_pooled(&self, output: ImageOutput) -> Option<(ImageOutput, i64)> {
        let with_size = |output| Some((output, self.size(output)?));
        with_size(output).or_else(|| with_size(ImageOutput::Pooled))
    }

    /// Returns the weights, by their names without a prefix; `None` if they are random.
    pub fn weights(&self) -> Option<&Tensors> {
        self.weights.as_ref()
    }

    /// Builds the encoder at `path`, with a copy of the weights.
    ///
    /// # Errors
    /// [`Error::Weights`] lists weights that are missing, unexpected or have the wrong shape.
    pub fn build(&self, path: &nn::Path<'_>) -> Result<ImageEncoder> {
        let log = RefCell::new(Log::default());
        let params = Params::new(path.clone(), self.weights.as_ref(), &log);
        let n_channels = self.sizes.n_channels();
        let body = self.sizes.build(&params)?;
        let layers = self.head.build(&params, n_channels)?;
        let Log { used, mut problems } = log.into_inner();
        // Other layers within those of the body would change its results.
        let prefixes = self.sizes.prefixes();
        let unexpected = self.weights.iter().flat_map(Tensors::keys).filter(|name| {
            let is_of_body = prefixes.iter().any(|prefix| name.starts_with(prefix));
            is_of_body && !name.ends_with(BATCH_COUNTER) && !used.contains(*name)
        });
        problems.extend(unexpected.map(|name| format!("unexpected `{name}`")));
        if !problems.is_empty() {
            return Err(Error::Weights { path: self.origin.clone(), report: problems });
        }
        let options = (path.kind(), path.device());
        ImageEncoder::new(self.architecture(), body, layers, (self.head.clone(), n_channels), options)
    }

    /// Builds the encoder for evaluation only: without variables, and batch normalizations merged into the convolutions, which
    /// is faster. Results equal those of [`build`](Self::build) in [`Mode::Eval`](crate::Mode::Eval) except for rounding; in
    /// either mode they are those of evaluation.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn build_frozen(&self, options: (tch::Kind, tch::Device)) -> Result<ImageEncoder> {
        let mut vars = nn::VarStore::new(options.1);
        vars.set_kind(options.0);
        let encoder = self.build(&vars.root())?;
        vars.freeze();
        encoder.fold()
    }
}

/// Sizes of the convolutions.
#[derive(Debug)]
enum BodySizes {
    Vgg(VggSizes),
    ResNet(ResNetSizes),
    EfficientNet(EfficientNetSizes),
}

impl BodySizes {
    fn n_channels(&self) -> i64 {
        match self {
            Self::Vgg(sizes) => sizes.n_channels(),
            Self::ResNet(sizes) => sizes.n_channels(),
            Self::EfficientNet(sizes) => sizes.n_channels(),
        }
    }

    /// Returns the starts of the names of the parameters.
    fn prefixes(&self) -> &'static [&'static str] {
        match self {
            Self::Vgg(_) => &[vgg::PREFIX],
            Self::ResNet(_) => &[resnet::PREFIX, "conv1.", "bn1."],
            Self::EfficientNet(_) => &[efficientnet::PREFIX, "_conv_", "_bn"],
        }
    }

    fn build(&self, params: &Params<'_, '_>) -> Result<Box<dyn Body>> {
        match self {
            Self::Vgg(sizes) => sizes.build(params),
            Self::ResNet(sizes) => sizes.build(params),
            Self::EfficientNet(sizes) => sizes.build(params),
        }
    }
}

/// Finds the signature with the shortest prefix; returns its index and the tensors without the prefix, as far as they have it.
fn strip_prefix(tensors: Tensors) -> Result<(usize, Tensors), String> {
    let matches = tensors.keys().flat_map(|name| {
        let prefixes = SIGNATURES.iter().map(|(_, end)| name.strip_suffix(end));
        prefixes.enumerate().filter_map(|(i, prefix)| Some((i, prefix?)))
    });
    let found = matches.filter(|(_, prefix)| prefix.is_empty() || prefix.ends_with('.'));
    let Some((signature, prefix)) = found.min_by_key(|(_, prefix)| prefix.len()) else {
        let known: Vec<String> =
            SIGNATURES.iter().map(|(name, signature)| format!("{name} (`{signature}`)")).collect();
        let names: Vec<String> = tensors.keys().take(4).map(|name| format!("`{name}`")).collect();
        return Err(format!(
            "unknown architecture: expected weights of {}, got {} other tensors: {}",
            known.join(", "),
            tensors.len(),
            names.join(", ")
        ));
    };
    let prefix = prefix.to_owned();
    if prefix.is_empty() {
        return Ok((signature, tensors));
    }
    let strip = |(name, tensor): (String, Tensor)| Some((name.strip_prefix(&prefix)?.to_owned(), tensor));
    Ok((signature, tensors.into_iter().filter_map(strip).collect()))
}
