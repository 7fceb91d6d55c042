//! The supported architectures.

use std::fmt;

/// Mean of red, green and blue over ImageNet, from 0 to 1, by which torchvision and EfficientNet-PyTorch normalize.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// Their standard deviation.
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// The architecture of an image encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageArchitecture {
    /// Simonyan and Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*, ICLR 2015.
    Vgg {
        /// Number of convolutions and fully connected layers, such as 19.
        n_layers: usize,
    },
    /// He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016, with the stride in the 3x3 convolutions.
    ResNet {
        /// Number of convolutions and fully connected layers, such as 50.
        n_layers: usize,
    },
    /// Tan and Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, ICML 2019, in the variant of
    /// TensorFlow's authors for mobile devices: ReLU6, no squeeze-and-excitation.
    EfficientNetLite0,
}

impl ImageArchitecture {
    /// Returns the name, such as `ResNet-50`.
    pub fn name(self) -> String {
        match self {
            Self::Vgg { n_layers } => format!("VGG-{n_layers}"),
            Self::ResNet { n_layers } => format!("ResNet-{n_layers}"),
            Self::EfficientNetLite0 => "EfficientNet-Lite0".to_owned(),
        }
    }

    /// Returns how pixels are normalized: by the mean and standard deviation of ImageNet.
    pub fn normalization(self) -> Normalization {
        Normalization { mean: IMAGENET_MEAN, std: IMAGENET_STD }
    }
}

impl fmt::Display for ImageArchitecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Normalization of pixels: a value from 0 to 1, minus `mean`, divided by `std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Means of red, green and blue.
    pub mean: [f64; 3],
    /// Standard deviations of red, green and blue.
    pub std: [f64; 3],
}
