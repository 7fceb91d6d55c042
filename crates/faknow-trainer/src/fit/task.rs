//! The task of a trainer: the model, how a batch trains it, and how it is measured.

use faknow_metrics::Metrics;
use faknow_model::Model;
use tch::Device;

use crate::TrainStep;

/// What is trained, where, and what a validation measures.
pub(crate) struct Task<M: Model> {
    pub(crate) model: M,
    pub(crate) step: Box<dyn TrainStep<M>>,
    pub(crate) metrics: Metrics,
    /// Metrics of the training pass, which need only predicted classes.
    pub(crate) train_metrics: Metrics,
    pub(crate) device: Device,
}
