//! The mean over the tokens of a text.

use tch::{Kind, Tensor};

use crate::Result;

/// Returns the mean of `x` `[n, len, size]` over the elements that `mask` bool `[n, len]` marks, `[n, size]`; 0 without such elements.
///
/// # Errors
/// The shapes do not match.
pub fn masked_mean(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let weights = mask.f_to_kind(x.kind())?.f_unsqueeze(2)?; // [n, len, 1]
    let dims: &[i64] = &[1];
    let sum = x.f_mul(&weights)?.f_sum_dim_intlist(dims, false, None::<Kind>)?;
    Ok(sum.f_div(&weights.f_sum_dim_intlist(dims, false, None::<Kind>)?.f_clamp_min(1.0)?)?)
}
