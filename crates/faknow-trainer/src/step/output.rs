//! The output of a training step.

use faknow_model::Loss;
use tch::Tensor;

/// The result of a training step on one batch.
///
/// ```
/// use faknow_model::Loss;
/// use faknow_trainer::StepOutput;
/// use tch::{Kind, Device, Tensor};
///
/// let loss = Loss::single(Tensor::from(0.5));
/// let output = StepOutput::new(loss).logits(Tensor::zeros([4, 2], (Kind::Float, Device::Cpu))).log("temperature", 0.7);
/// assert_eq!(output.logged_values, [("temperature".to_owned(), 0.7)]);
/// ```
#[derive(Debug)]
pub struct StepOutput {
    /// The loss; the trainer records its total and parts.
    pub loss: Loss,
    /// Class logits `[n_samples, n_classes]` of the batch, from which the metrics of the training pass are computed; `None`
    /// excludes the batch.
    pub logits: Option<Tensor>,
    /// Named values, recorded as `train/<name>`: means over the samples of the epoch. For a value on the device, prefer a
    /// part of the loss, which is read only once per epoch.
    pub logged_values: Vec<(String, f64)>,
}

impl StepOutput {
    /// Creates the output of a step with this loss.
    pub fn new(loss: Loss) -> Self {
        Self { loss, logits: None, logged_values: Vec::new() }
    }

    /// Adds the class logits `[n_samples, n_classes]` of the batch. Default: none.
    #[must_use]
    pub fn logits(self, logits: Tensor) -> Self {
        Self { logits: Some(logits), ..self }
    }

    /// Logs a number under a name, as [`Run::log`](faknow_callbacks::Run::log) does for callbacks.
    #[must_use]
    pub fn log(mut self, name: impl Into<String>, value: impl Into<f64>) -> Self {
        self.logged_values.push((name.into(), value.into()));
        self
    }
}

impl From<Loss> for StepOutput {
    fn from(loss: Loss) -> Self {
        Self::new(loss)
    }
}
