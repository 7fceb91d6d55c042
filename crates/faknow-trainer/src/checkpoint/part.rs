//! Parts of a run whose state is saved in every checkpoint.

use faknow_callbacks::{Callbacks, RunOwner, RunProgress, State};
use faknow_model::Model;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Optimizer, Result, TrainStep};

/// A part of a run whose state is saved in a checkpoint.
///
/// A checkpoint is a list of named parts, see [`Checkpoint::insert_part`](super::Checkpoint::insert_part).
pub trait Checkpointable {
    /// Returns the state of the part, without its settings.
    ///
    /// # Errors
    /// The state cannot be read.
    fn state(&self) -> Result<State>;

    /// Restores a state that [`state`](Self::state) returned; it is empty if the checkpoint has no state of this part.
    ///
    /// # Errors
    /// The state does not fit the part.
    fn restore(&mut self, state: &State) -> Result<()>;
}

/// Serializes data as the state of a part.
pub(crate) fn to_state(part: &'static str, data: &impl Serialize) -> Result<State> {
    let values = serde_json::to_value(data);
    Ok(values.map_err(|error| Error::State { part, message: error.to_string() })?.into())
}

/// Deserializes data that [`to_state`] serialized.
pub(crate) fn from_state<T: DeserializeOwned>(part: &'static str, state: &State) -> Result<T> {
    T::deserialize(&state.values).map_err(|error| Error::State { part, message: error.to_string() })
}

impl Checkpointable for Optimizer {
    fn state(&self) -> Result<State> {
        Self::state(self)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Self::restore(self, state)
    }
}

impl Checkpointable for Callbacks {
    fn state(&self) -> Result<State> {
        Ok(Self::state(self)?)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Ok(Self::restore(self, state)?)
    }
}

impl<M: Model> Checkpointable for Box<dyn TrainStep<M>> {
    fn state(&self) -> Result<State> {
        (**self).state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }
}

/// An optional part of a run.
impl<P: Checkpointable> Checkpointable for Option<P> {
    fn state(&self) -> Result<State> {
        self.as_ref().map_or_else(|| Ok(State::default()), P::state)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.as_mut().map_or(Ok(()), |part| part.restore(state))
    }
}

/// The progress and learning rates of a run, as saved in a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedRun {
    pub(crate) progress: RunProgress,
    pub(crate) learning_rates: Vec<f64>,
}

/// `restore` does not change the number of epochs and batches: they come from the settings and the data.
impl Checkpointable for RunOwner {
    fn state(&self) -> Result<State> {
        let (progress, learning_rates) = (self.progress().clone(), self.learning_rates.clone());
        to_state("run", &SavedRun { progress, learning_rates })
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let SavedRun { progress, learning_rates } = from_state("run", state)?;
        let (max_epochs, n_batches) = (self.max_epochs(), self.n_batches());
        *self.progress_mut() = RunProgress { max_epochs, n_batches, ..progress };
        self.learning_rates = learning_rates;
        Ok(())
    }
}
