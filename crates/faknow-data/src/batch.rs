//! The batch trait.

use tch::{Device, Tensor};

/// A batch of samples, optionally labeled, that can be moved to a device.
pub trait Batch: Send {
    /// Returns the number of samples (texts, graphs), not of tokens or nodes.
    fn n_samples(&self) -> usize;

    /// Returns the class indices, i64 `[n_samples]`, if the samples are labeled.
    fn labels(&self) -> Option<&Tensor>;

    /// Returns the batch on `device`, without a copy if it is already there.
    fn to_device(&self, device: Device) -> Self
    where
        Self: Sized;
}
