//! Features of the fields that an explanation of a text does not change, computed once.

use std::cell::OnceCell;

use tch::Tensor;

use crate::Result;

/// Features of the only sample of a batch, tensors `[1, ..]`, which are computed once and without gradients.
pub(super) struct FixedFeatures<F, const N: usize> {
    compute: F,
    features: OnceCell<[Tensor; N]>,
}

impl<F: Fn() -> Result<[Tensor; N]>, const N: usize> FixedFeatures<F, N> {
    /// Creates the features that `compute` returns.
    pub(super) fn new(compute: F) -> Self {
        Self { compute, features: OnceCell::new() }
    }

    /// Returns the features of `n` equal samples, each `[n, ..]`.
    pub(super) fn repeated(&self, n: i64) -> Result<[Tensor; N]> {
        let features = match self.features.get() {
            Some(features) => features,
            None => {
                let features = tch::no_grad(&self.compute)?;
                self.features.get_or_init(|| features)
            }
        };
        let mut repeated = features.each_ref().map(Tensor::shallow_clone);
        for feature in &mut repeated {
            let mut shape = feature.size();
            shape[0] = n;
            *feature = feature.f_expand(shape, false)?;
        }
        Ok(repeated)
    }
}
