//! Gradient clipping.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::setting;

/// How gradients are clipped before each update.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Not at all; the default.
    #[default]
    None,
    /// All gradients are scaled together so that their global norm is at most this, above 0.
    Norm(f64),
    /// Each gradient value is limited to plus or minus this, above 0.
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
