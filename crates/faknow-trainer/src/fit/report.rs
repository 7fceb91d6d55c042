//! The result of a fit.

use std::path::PathBuf;

use faknow_callbacks::{Best, StopReason};
use faknow_metrics::History;
use serde::Serialize;

use crate::Profile;

/// The result of a fit: why it ended, its best epoch, and the results of all epochs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FitReport {
    /// Why the run ended.
    #[serde(rename = "ended")]
    pub stop_reason: StopReason,
    /// The best epoch by the monitored value; `None` without validation, or if the value was never finite.
    pub best: Option<Best>,
    /// Which weights the model has now.
    pub weights: FinalWeights,
    /// Results of all epochs.
    pub history: History,
    /// The run directory, if there is one.
    pub run_dir: Option<PathBuf>,
    /// Wall-clock seconds of this fit.
    pub seconds: f64,
    /// Where the time of the run went.
    pub profile: Profile,
}

/// Which weights a model has after a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalWeights {
    /// Those of the best epoch.
    Best,
    /// The average of the weights as of the last epoch, see [`WeightAveraging`](crate::WeightAveraging).
    Average,
    /// Those of the last epoch.
    Last,
}
