//! The batch contract: a number of samples, perhaps with labels, that can move to a device.

use tch::{Device, Tensor};

/// Samples that go through a model together.
pub trait Batch: Send {
    /// Number of samples (texts, graphs), never the number of tokens or nodes.
    fn n_samples(&self) -> usize;

    /// Class numbers, i64 `[n_samples]`, if the samples are labeled.
    fn labels(&self) -> Option<&Tensor>;

    /// The same batch on `device`; free of copies where it is there already.
    fn to_device(&self, device: Device) -> Self
    where
        Self: Sized;
}
