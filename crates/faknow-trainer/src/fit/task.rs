//! The task of a trainer: model, training step and metrics.

use faknow_metrics::Metrics;
use faknow_model::Model;
use tch::Device;

use crate::TrainStep;

/// The model to train, its training step, metrics and device.
pub(crate) struct Task<M: Model> {
    pub(crate) model: M,
    pub(crate) step: Box<dyn TrainStep<M>>,
    pub(crate) metrics: Metrics,
    /// Metrics of the training pass; they need only predicted classes.
    pub(crate) train_metrics: Metrics,
    pub(crate) device: Device,
}
