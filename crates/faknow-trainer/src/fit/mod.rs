//! The training loop over epochs and batches, and its state and results.

pub(crate) mod average_statistics;
pub(crate) mod averages;
pub(crate) mod buffers;
mod classify;
mod epochs;
pub(crate) mod evaluation;
pub(crate) mod layout;
pub(crate) mod length;
pub(crate) mod limits;
mod no_effect;
pub(crate) mod non_finite;
pub(crate) mod optimization;
pub(crate) mod profile;
pub(crate) mod report;
mod resuming;
mod saving;
pub(crate) mod seeds;
pub(crate) mod settings;
mod start;
pub(crate) mod state;
pub(crate) mod sums;
pub(crate) mod task;
pub(crate) mod train_metrics;
mod training_data_pass;
pub(crate) mod updates;
mod validation;
