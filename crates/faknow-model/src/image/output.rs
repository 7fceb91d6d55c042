//! Which output of an image encoder is read.

use serde::{Deserialize, Serialize};

/// An output of an image encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageOutput {
    /// The last fully connected layer: `classifier.6` of VGG, `fc` of ResNet, `_fc` of EfficientNet.
    Logits,
    /// The first fully connected layer of VGG, `classifier.0`, before its ReLU; of others [`Pooled`](Self::Pooled).
    FirstHidden,
    /// The second fully connected layer of VGG, `classifier.3`, before its ReLU; of others [`Pooled`](Self::Pooled).
    SecondHidden,
    /// The mean of the last feature map; of VGG [`SecondHidden`](Self::SecondHidden). The default.
    #[default]
    Pooled,
    /// The last feature map, one vector per region of the image, in row-major order.
    Regions,
}
