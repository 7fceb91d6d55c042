//! Training steps: the processing of one batch, for custom losses, adversarial training, several optimizers.

pub(crate) mod adversarial;
pub(crate) mod attack;
pub(crate) mod dual_coordinate_descent;
pub(crate) mod ewc;
mod from_fn;
pub(crate) mod gem;
mod linear_dual;
pub(crate) mod output;
pub(crate) mod shapes;
pub(crate) mod supervised;
pub(crate) mod two_optimizers;

use faknow_callbacks::{Phase, State};
use faknow_data::Rng;
use faknow_model::{Loss, Model};
use serde_json::Value;
use tch::Tensor;

use crate::error::Location;
use crate::step::shapes::check_loss;
use crate::{Error, Optimizer, Result, StepOutput};

/// A training step: trains a model on one batch.
///
/// The trainer moves the batch to the device, seeds the step, measures time, counts samples, and calls the callbacks. The
/// optimizer clips the gradients, so a step cannot omit it.
pub trait TrainStep<M: Model>: Send {
    /// Receives all batches of the next update before the first of them is moved to the device: for steps in which the
    /// loss of a batch depends on the others, such as a mean that is not over samples. Default: does nothing.
    ///
    /// # Errors
    /// Any error ends the run.
    fn start_window(&mut self, batches: &[&M::Batch]) -> Result<()> {
        let _ = batches;
        Ok(())
    }

    /// Updates the weights from `batch` and returns its loss and, for the metrics of the training pass, its logits.
    ///
    /// # Errors
    /// Any error ends the run, except a loss that is not finite, see [`NonFinitePolicy`](crate::NonFinitePolicy).
    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput>;

    /// Returns whether the step updates the weights with the optimizer. Otherwise learning rate, schedule and gradient clipping
    /// have no effect, and a [learning-rate range test](crate::Trainer::lr_range_test) is an error. Default: true.
    fn uses_optimizer(&self) -> bool {
        true
    }

    /// Returns the settings that a resumed run compares with those of its start: an object, or a text; recorded as `step`.
    /// Default: none.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Returns the state of this step between two batches, such as that of a second optimizer; it is part of every
    /// checkpoint. Default: empty.
    ///
    /// # Errors
    /// The state cannot be read.
    fn state(&self) -> Result<State> {
        Ok(State::default())
    }

    /// Restores a state that [`state`](Self::state) returned. Default: does nothing.
    ///
    /// # Errors
    /// The state does not fit this step.
    fn restore(&mut self, state: &State) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Returns an error if, since the last call, an optimizer of this step met a loss or gradient that is not finite and whose
    /// check was deferred, see [`Optimizer::check_finite`]. Called before each checkpoint and at the end of each epoch.
    /// Default: none.
    ///
    /// # Errors
    /// [`Error::NonFiniteUpdate`].
    fn check_finite(&mut self) -> Result<()> {
        Ok(())
    }

    /// Returns whether a failed step has left its own state unchanged, so that its update can be skipped; the trainer
    /// itself checks that the optimizer made no update. Default: true if the state is empty.
    ///
    /// # Errors
    /// The state cannot be read.
    fn is_unchanged(&self) -> Result<bool> {
        Ok(self.state()?.is_empty())
    }
}

/// A boxed step is a step, so that a setting can select it.
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

    fn uses_optimizer(&self) -> bool {
        (**self).uses_optimizer()
    }

    fn settings(&self) -> Value {
        (**self).settings()
    }

    fn state(&self) -> Result<State> {
        (**self).state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }

    fn check_finite(&mut self) -> Result<()> {
        (**self).check_finite()
    }

    fn is_unchanged(&self) -> Result<bool> {
        (**self).is_unchanged()
    }
}

/// The context of a training step: its position in the run, and the seed.
#[derive(Debug, Clone, Copy)]
pub struct StepContext {
    /// Phase, epoch and batch, for errors.
    pub location: Location,
    /// Number of updates of the weights so far.
    pub step: u64,
    /// Index of the batch among those whose gradients are accumulated for this update, from 0.
    pub position: usize,
    /// The seed of the run.
    pub seed: u64,
    /// Whether losses and gradients are read and checked in each step. False by default on a device, where reading makes the
    /// step wait; see [`Optimizer::set_deferred`].
    pub is_synchronous: bool,
}

impl StepContext {
    /// Returns a random generator for this batch: a function of the seed of the run, the update and the index of the batch
    /// in it. A resumed run draws the same numbers, and batches whose gradients are accumulated draw different ones.
    pub fn rng(&self) -> Rng {
        Rng::from_parts(&[self.seed, self.step, self.position as u64])
    }

    /// Returns the loss of an output after checking it: it must be present, a scalar, and finite.
    ///
    /// # Errors
    /// [`Error::NoLoss`] if there is no loss; the loss is not a scalar; [`Error::NonFiniteLoss`], if
    /// [`is_synchronous`](Self::is_synchronous) is set.
    pub fn check_loss(&self, loss: Option<Loss>, optimizer: &Optimizer) -> Result<Loss> {
        let loss = loss.ok_or(Error::NoLoss { location: self.location })?;
        check_loss(&loss)?;
        if self.is_synchronous {
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

/// Returns the error of a loss that is NaN or infinite.
pub(crate) fn non_finite(
    location: Location,
    loss: f64,
    parts: Vec<(&'static str, f64)>,
    optimizer: &Optimizer,
) -> Error {
    let is_finite =
        |t: &Tensor| t.f_isfinite().and_then(|t| t.f_all()).and_then(|all| all.f_int64_value(&[]));
    let parameter = optimizer.parameters().find(|(_, tensor)| matches!(is_finite(tensor), Ok(0)));
    Error::NonFiniteLoss {
        location,
        loss,
        parts,
        learning_rate: optimizer.first_learning_rate(),
        parameter: parameter.map(|(name, _)| name.to_owned()),
    }
}

/// Adds the name of a loss of the step to the error of a loss that is not finite.
pub(crate) fn with_part_name(error: Error, name: &'static str) -> Error {
    match error {
        Error::NonFiniteLoss { location, loss, mut parts, learning_rate, parameter } => {
            parts.insert(0, (name, loss));
            Error::NonFiniteLoss { location, loss, parts, learning_rate, parameter }
        }
        other => other,
    }
}

impl Location {
    /// Creates a location in training.
    pub fn training(epoch: usize, batch: usize) -> Self {
        Self { phase: Phase::Train, epoch, batch }
    }
}
