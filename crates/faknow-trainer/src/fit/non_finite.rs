//! The policy for losses and gradients that are NaN or infinite.

use faknow_model::Model;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

use crate::error::{Location, setting};
use crate::{Error, Result, Trainer};

/// Number of consecutive updates that may be skipped before the run fails.
pub(crate) const MAX_SKIPS: u64 = 10;

/// Number of times that a run is rolled back before it fails.
pub(crate) const MAX_ROLL_BACKS: u32 = 3;

/// The policy for losses and gradients that are NaN or infinite; the weights are never updated from them.
///
/// Values in configs: `stop`, `skip`, `roll_back`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinitePolicy {
    /// Fail with an error that names batch and parameter (default). On a GPU, where reading values makes each step wait, the
    /// error comes at the next checkpoint or end of an epoch and names the update, see
    /// [`deferred_checks`](crate::TrainerBuilder::deferred_checks).
    #[default]
    Stop,
    /// Skip the update and count it in `run.skipped()`; after 10 consecutive skips the run fails.
    Skip,
    /// Restore the last checkpoint and continue with half the learning rate; after 3 times the run fails. Requires a run
    /// directory. An interrupted run may be restored to the checkpoint of the interruption.
    RollBack,
}

/// Adds to an error the name of the first tensor that is not finite, buffers included, if the error names none yet.
pub(crate) fn with_tensor_name(error: Error, vars: &VarStore) -> Error {
    match error {
        Error::NonFiniteLoss { location, loss, parts, learning_rate, parameter: None } => {
            let parameter = first_non_finite(vars);
            Error::NonFiniteLoss { location, loss, parts, learning_rate, parameter }
        }
        Error::NonFiniteScores { location, tensor: None } => {
            Error::NonFiniteScores { location, tensor: first_non_finite(vars) }
        }
        other => other,
    }
}

/// Returns the name of the first weight or buffer, ordered by name, that contains a NaN or an infinity.
fn first_non_finite(vars: &VarStore) -> Option<String> {
    let is_finite =
        |t: &tch::Tensor| t.f_isfinite().and_then(|t| t.f_all()).and_then(|t| t.f_int64_value(&[]));
    let variables: std::collections::BTreeMap<_, _> = vars.variables().into_iter().collect();
    variables.into_iter().find(|(_, tensor)| matches!(is_finite(tensor), Ok(0))).map(|(name, _)| name)
}

impl<M: Model> Trainer<M> {
    /// Checks the updates since the last check whose losses and gradients have not been read.
    pub(crate) fn check_finite(&mut self) -> Result<()> {
        let checked_at = std::mem::replace(&mut self.state.checked_at, self.run.step());
        if checked_at == self.run.step() {
            return Ok(());
        }
        let result = self.optimization.optimizer.check_finite().and(self.task.step.check_finite());
        result.map_err(|error| {
            // The counters are those of updates that were not made.
            self.state.is_consistent = false;
            match error {
                Error::NonFiniteUpdate { location: None, update, learning_rate } => {
                    let location = Location::training(self.run.epoch(), self.run.batch());
                    let update = (checked_at + update).min(self.run.step());
                    Error::NonFiniteUpdate { location: Some(location), update, learning_rate }
                }
                other => other,
            }
        })
    }
}

impl NonFinitePolicy {
    /// Factor on the learning rate after a rollback.
    pub(crate) const ROLL_BACK_FACTOR: f64 = 0.5;

    pub(crate) fn validate(self, has_run_dir: bool) -> Result<()> {
        if self == Self::RollBack && !has_run_dir {
            return Err(setting(
                "on_non_finite",
                "stop or skip without a run directory, which would hold the checkpoint to roll back to",
                "roll_back",
            ));
        }
        Ok(())
    }
}
