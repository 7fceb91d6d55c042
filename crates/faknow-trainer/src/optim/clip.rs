//! Gradient clipping.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::setting;

/// Gradient clipping, applied before each update.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// No clipping; the default.
    #[default]
    None,
    /// Clipping by the global norm: all gradients are scaled so that their norm is at most this value, above 0.
    Norm(f64),
    /// Clipping by value: each gradient value is clamped to plus or minus this value, above 0.
    Value(f64),
}

impl Clip {
    pub(crate) fn validate(self) -> Result<()> {
        match self {
            Self::Norm(max) if !(max.is_finite() && max > 0.0) => {
                Err(setting("clip_norm", "a number above 0", max))
            }
            Self::Value(max) if !(max.is_finite() && max > 0.0) => {
                Err(setting("clip_value", "a number above 0", max))
            }
            _ => Ok(()),
        }
    }
}
