//! Image encoders with torchvision's parameter names: VGG, ResNet and EfficientNet-Lite0.

mod architecture;
mod body;
mod conv;
mod efficientnet;
mod encoder;
mod head;
mod output;
mod params;
mod pretrained;
mod resnet;
mod shapes;
mod vgg;

pub use architecture::{ImageArchitecture, Normalization};
pub use encoder::ImageEncoder;
pub use output::ImageOutput;
pub use pretrained::PretrainedImageEncoder;
