//! Tools for choosing settings: learning-rate range test, batch size search, cross-validation.

pub(crate) mod batch_size;
pub(crate) mod cross_validation;
pub(crate) mod lr_curve;
#[cfg(feature = "plots")]
mod lr_plot;
pub(crate) mod lr_range;
mod trial;
