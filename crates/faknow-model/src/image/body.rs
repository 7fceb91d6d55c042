//! The convolutions of an image encoder.

use std::fmt::Debug;

use tch::Tensor;

use crate::{Mode, Result};

/// The convolutions of an architecture.
pub(super) trait Body: Debug + Send {
    /// Returns the last feature map `[n, n_channels, ..]` of normalized pixels `[n, 3, height, width]`.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor>;

    /// Merges the batch normalizations, as in evaluation, into the convolutions.
    fn fold(&mut self) -> Result<()>;
}
