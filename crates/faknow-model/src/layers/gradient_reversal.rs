//! Gradient reversal, for adversarial objectives.
//!
//! Ganin and Lempitsky, *Unsupervised Domain Adaptation by Backpropagation*, ICML 2015.

use tch::Tensor;

use crate::Result;

/// Returns `x` itself, with a gradient that is multiplied by `-factor` on its way back.
///
/// # Errors
/// libtorch rejects an operation.
pub fn reverse_gradient(x: &Tensor, factor: f64) -> Result<Tensor> {
    let constant = x.f_detach()?;
    // The bracket is exactly 0, and its gradient is that of -x.
    Ok(constant.f_add(&constant.f_sub(x)?.f_mul_scalar(factor)?)?)
}
