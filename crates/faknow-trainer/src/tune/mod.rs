//! What to know before a run: the learning-rate range test, the batch size that fits, and cross-validation.

pub(crate) mod batch_size;
pub(crate) mod cross_validation;
pub(crate) mod lr_curve;
#[cfg(feature = "plots")]
mod lr_plot;
pub(crate) mod lr_range;
mod trial;
