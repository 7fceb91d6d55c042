//! The result of a fit.

use std::path::PathBuf;

use faknow_callbacks::{Best, StopReason};
use faknow_metrics::History;
use serde::Serialize;

use crate::Profile;

/// The result of a fit: stop reason, best epoch, and history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FitReport {
    /// The reason why the run stopped.
    #[serde(rename = "ended")]
    pub stop_reason: StopReason,
    /// The best epoch by the monitored value; `None` without validation, or if the value was never finite.
    pub best: Option<Best>,
    /// The weights that the model has now.
    pub weights: FinalWeights,
    /// The history of all epochs.
    pub history: History,
    /// The run directory, if there is one.
    pub run_dir: Option<PathBuf>,
    /// Wall-clock seconds of this fit.
    pub seconds: f64,
    /// Seconds spent in each phase of the run.
    pub profile: Profile,
}

impl FitReport {
    /// Creates the report of a fit in this directory that was interrupted before it started.
    pub fn not_started(run_dir: PathBuf) -> Self {
        Self {
            stop_reason: StopReason::Interrupted,
            best: None,
            weights: FinalWeights::Last,
            history: History::default(),
            run_dir: Some(run_dir),
            seconds: 0.0,
            profile: Profile::default(),
        }
    }
}

/// The weights that a model has after a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalWeights {
    /// The weights of the best epoch.
    Best,
    /// The weight average as of the last epoch, see [`WeightAveraging`](crate::WeightAveraging).
    Average,
    /// The weights of the last epoch.
    Last,
}
