//! What is done with one training batch: for adversarial training, several optimizers, several losses.

pub(crate) mod adversarial;
pub(crate) mod attack;
pub(crate) mod ewc;
mod from_fn;
pub(crate) mod gem;
pub(crate) mod output;
pub(crate) mod shapes;
pub(crate) mod supervised;
pub(crate) mod two_optimizers;

use faknow_callbacks::{Phase, State};
use faknow_data::Rng;
use faknow_model::{Loss, Model};
use tch::Tensor;

use crate::error::Location;
use crate::step::shapes::check_loss;
use crate::{Error, Optimizer, Result, StepOutput};

/// Trains a model on one batch.
///
/// The trainer has moved the batch to the device and seeded the step; it measures time, counts samples, and calls
/// the callbacks. Clipping is the optimizer's, so no step can forget it.
pub trait TrainStep<M: Model>: Send {
    /// Is shown all batches of the coming update, before the first of them is moved to the device: for steps in which
    /// the loss of one depends on the others, such as a mean over more than their samples. Default: nothing.
    ///
    /// # Errors
    /// Whatever went wrong; the run ends with it.
    fn start_window(&mut self, batches: &[&M::Batch]) -> Result<()> {
        let _ = batches;
        Ok(())
    }

    /// Updates the weights from `batch` and returns its loss and, for the metrics of the training pass, its logits.
    ///
    /// # Errors
    /// Whatever went wrong; the run ends with it.
    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput>;

    /// All that this step has to remember between two batches, such as the state of an optimizer of its own; it
    /// becomes part of every checkpoint. Default: nothing.
    ///
    /// # Errors
    /// The state cannot be read.
    fn state(&self) -> Result<State> {
        Ok(State::default())
    }

    /// Takes over what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// The state is another step's.
    fn restore(&mut self, state: &State) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Whether a step that failed has left all that it remembers as it was, so that its update may be skipped. That the
    /// optimizer made none is known without it. Default: if it remembers nothing.
    ///
    /// # Errors
    /// The state cannot be read.
    fn is_unchanged(&self) -> Result<bool> {
        Ok(self.state()?.is_empty())
    }
}

/// A boxed step is a step, so that the choice of one may depend on a setting.
impl<M: Model, S: TrainStep<M> + ?Sized> TrainStep<M> for Box<S> {
    fn start_window(&mut self, batches: &[&M::Batch]) -> Result<()> {
        (**self).start_window(batches)
    }

    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        (**self).step(model, batch, optimizer, context)
    }

    fn state(&self) -> Result<State> {
        (**self).state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }

    fn is_unchanged(&self) -> Result<bool> {
        (**self).is_unchanged()
    }
}

/// Where a step stands in its run.
#[derive(Debug, Clone, Copy)]
pub struct StepContext {
    /// Epoch and batch, for errors.
    pub location: Location,
    /// Updates of the weights so far.
    pub step: u64,
    /// Position of the batch among those whose gradients make this update, from 0.
    pub position: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Whether the loss is read and checked in each step even where that waits for a device.
    pub is_synchronous: bool,
}

impl StepContext {
    /// Returns a random generator for this batch: a function of the run's seed, the update and the batch's position in
    /// it, so a resumed run draws the same numbers, and batches whose gradients are accumulated draw different ones.
    pub fn rng(&self) -> Rng {
        Rng::from_parts(&[self.seed, self.step, self.position as u64])
    }

    /// The loss of an output that must have one.
    ///
    /// # Errors
    /// [`Error::NoLabels`]; the loss is not a scalar; [`Error::NonFiniteLoss`] where reading the value does not wait for a device, or where
    /// the run has to know.
    pub fn check_loss(&self, loss: Option<Loss>, optimizer: &Optimizer) -> Result<Loss> {
        let loss = loss.ok_or(Error::NoLabels { location: self.location })?;
        check_loss(&loss)?;
        if self.is_synchronous || loss.total.device() == tch::Device::Cpu {
            let value = loss.total.f_double_value(&[])?;
            if !value.is_finite() {
                let read = |(name, part): &(&'static str, Tensor)| Ok((*name, part.f_double_value(&[])?));
                let parts = loss.parts.iter().map(read).collect::<Result<_>>()?;
                return Err(non_finite(self.location, value, parts, optimizer));
            }
        }
        Ok(loss)
    }
}

/// The error of a loss that is NaN or infinite.
pub(crate) fn non_finite(
    location: Location,
    loss: f64,
    parts: Vec<(&'static str, f64)>,
    optimizer: &Optimizer,
) -> Error {
    let finite = |t: &Tensor| t.f_isfinite().and_then(|t| t.f_all()).and_then(|all| all.f_int64_value(&[]));
    let parameter = optimizer.parameters().find(|(_, tensor)| matches!(finite(tensor), Ok(0)));
    Error::NonFiniteLoss {
        location,
        loss,
        parts,
        learning_rate: optimizer.first_learning_rate(),
        parameter: parameter.map(|(name, _)| name.to_owned()),
    }
}

/// Says in the error of a loss that is not finite which of a step's losses it was.
pub(crate) fn named_part(error: Error, name: &'static str) -> Error {
    match error {
        Error::NonFiniteLoss { location, loss, mut parts, learning_rate, parameter } => {
            parts.insert(0, (name, loss));
            Error::NonFiniteLoss { location, loss, parts, learning_rate, parameter }
        }
        other => other,
    }
}

impl Location {
    /// Returns a location in training.
    pub fn training(epoch: usize, batch: usize) -> Self {
        Self { phase: Phase::Train, epoch, batch }
    }
}
