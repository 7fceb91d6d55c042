//! Pooling: the vectors of the tokens of a text to one vector.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::Result;

/// How the vectors of the tokens of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The vector of the first token: `[CLS]` of BERT, `<s>` of RoBERTa.
    Cls,
    /// The mean over the tokens.
    Mean,
    /// The largest value of each component over the tokens.
    Max,
}

impl Pooling {
    /// Reduces vectors `[n, len, size]` to `[n, size]`; `mask` is whether a vector is a token rather than padding, bool
    /// `[n, len]`, and `None` if all are. The mean of a text without tokens is 0; the others need a token.
    ///
    /// # Errors
    /// The shapes do not match.
    pub fn apply(self, vectors: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        Ok(match (self, mask) {
            (Self::Cls, _) => vectors.f_select(1, 0)?,
            (Self::Mean, None) => vectors.f_mean_dim([1].as_slice(), false, None::<Kind>)?,
            (Self::Mean, Some(mask)) => {
                let mask = mask.f_to_kind(vectors.kind())?.f_unsqueeze(2)?;
                let sum = |x: &Tensor| x.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>);
                sum(&vectors.f_mul(&mask)?)?.f_div(&sum(&mask)?.f_clamp_min(1)?)?
            }
            (Self::Max, None) => vectors.f_amax([1], false)?,
            (Self::Max, Some(mask)) => {
                let is_padding = mask.f_logical_not()?.f_unsqueeze(2)?;
                vectors.f_masked_fill(&is_padding, f64::NEG_INFINITY)?.f_amax([1], false)?
            }
        })
    }
}
