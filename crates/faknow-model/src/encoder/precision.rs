//! The precision of matrix products.

use serde::{Deserialize, Serialize};

/// The precision of the matrix products of an encoder, and of the activation between those of a feed-forward layer. Weights,
/// attention, sums and everything else are in the kind of the weights, single precision by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// The kind of the weights.
    #[default]
    F32,
    /// Factors in bfloat16, with 8 significant bits: about twice as fast on processors with AVX-512 BF16 or AMX, slower on
    /// others.
    Bf16,
}
