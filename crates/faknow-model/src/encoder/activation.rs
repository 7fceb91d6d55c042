//! Activations of the feed-forward layers of encoders.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::config::EncoderConfig;
use crate::Result;

/// Activation of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenActivation {
    /// GELU: x Φ(x).
    Gelu,
    /// GELU with Φ approximated by tanh.
    GeluTanh,
    /// max(x, 0).
    Relu,
    /// x σ(x).
    Silu,
    /// tanh(x).
    Tanh,
}

/// The names of Hugging Face.
const NAMES: [(&str, HiddenActivation); 8] = [
    ("gelu", HiddenActivation::Gelu),
    ("gelu_new", HiddenActivation::GeluTanh),
    ("gelu_pytorch_tanh", HiddenActivation::GeluTanh),
    ("gelu_fast", HiddenActivation::GeluTanh),
    ("relu", HiddenActivation::Relu),
    ("silu", HiddenActivation::Silu),
    ("swish", HiddenActivation::Silu),
    ("tanh", HiddenActivation::Tanh),
];

impl HiddenActivation {
    /// Returns the activation with this name of Hugging Face; `key` is the setting.
    pub(super) fn from_name(key: &'static str, name: &str) -> Result<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation).ok_or_else(|| {
            let names: Vec<String> = NAMES.iter().map(|(known, _)| format!("`{known}`")).collect();
            EncoderConfig::invalid(key, format!("one of {}", names.join(", ")), format!("`{name}`"))
        })
    }

    /// Applies the activation.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Gelu => x.f_gelu("none")?,
            Self::GeluTanh => x.f_gelu("tanh")?,
            Self::Relu => x.f_relu()?,
            Self::Silu => x.f_silu()?,
            Self::Tanh => x.f_tanh()?,
        })
    }
}
