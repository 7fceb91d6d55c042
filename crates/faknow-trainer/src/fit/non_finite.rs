//! What a run does about a loss or gradients that are NaN or infinite.

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

use crate::error::setting;
use crate::{Error, Result};

/// Updates in a row that may be skipped before the run fails after all.
pub(crate) const MAX_SKIPS: u64 = 10;

/// Times that a run is rolled back before it fails after all.
pub(crate) const MAX_ROLL_BACKS: u32 = 3;

/// What a run does about a loss or gradients that are NaN or infinite; the weights are never updated from them.
///
/// As text, and so in configs: `stop`, `skip`, `roll_back`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinitePolicy {
    /// The run fails with an error that names batch and parameter; the default.
    #[default]
    Stop,
    /// The update is left out and counted in `run.skipped()`; after 10 in a row the run fails.
    Skip,
    /// The run goes back to its last checkpoint and continues with half the learning rate; after 3 times it fails.
    /// Needs a run directory. A run that was interrupted has a checkpoint there too, to which it may go back.
    RollBack,
}

/// The same error with the name of the tensor that is to blame, buffers included, if the error has none yet.
pub(crate) fn with_tensor_name(error: Error, vars: &VarStore) -> Error {
    match error {
        Error::NonFiniteLoss { location, loss, parts, learning_rate, parameter: None } => {
            let parameter = first_not_finite(vars);
            Error::NonFiniteLoss { location, loss, parts, learning_rate, parameter }
        }
        Error::NonFiniteScores { location, tensor: None } => {
            Error::NonFiniteScores { location, tensor: first_not_finite(vars) }
        }
        other => other,
    }
}

/// The first weight or buffer, in the order of names, that holds a NaN or an infinity.
fn first_not_finite(vars: &VarStore) -> Option<String> {
    let is_finite =
        |t: &tch::Tensor| t.f_isfinite().and_then(|t| t.f_all()).and_then(|t| t.f_int64_value(&[]));
    let variables: std::collections::BTreeMap<_, _> = vars.variables().into_iter().collect();
    variables.into_iter().find(|(_, tensor)| matches!(is_finite(tensor), Ok(0))).map(|(name, _)| name)
}

impl NonFinitePolicy {
    /// The factor on the learning rate after a roll-back.
    pub(crate) const ROLL_BACK_FACTOR: f64 = 0.5;

    pub(crate) fn validate(self, has_run_dir: bool) -> Result<()> {
        if self == Self::RollBack && !has_run_dir {
            return Err(setting(
                "on_non_finite",
                "stop or skip without a run directory, which holds the checkpoint to roll back to",
                "roll_back",
            ));
        }
        Ok(())
    }
}
