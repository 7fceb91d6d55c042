//! The policy for losses and gradients that are NaN or infinite.

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

use crate::error::setting;
use crate::{Error, Result};

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
    /// Fail with an error that names batch and parameter (default).
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
