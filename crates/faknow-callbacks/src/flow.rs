//! Stopping is not failing: what a callback answers, and why a run ended.

use serde::{Deserialize, Serialize};

use crate::Span;

/// A callback's answer to the loop.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a run that is told to stop must stop"]
pub enum Flow {
    /// Go on.
    Continue,
    /// End the run in good order, for this reason.
    Stop(StopReason),
}

/// Why a run ended without an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All epochs were done.
    Completed,
    /// The monitored value no longer improved.
    EarlyStopping {
        /// Name of the monitored value.
        monitor: String,
        /// Validations in a row without an improvement.
        patience: usize,
    },
    /// The monitored value is as good as is wanted.
    Reached {
        /// Name of the monitored value.
        monitor: String,
        /// What it was.
        value: f64,
        /// What is wanted.
        threshold: f64,
    },
    /// The monitored value is worse than is borne.
    Diverged {
        /// Name of the monitored value.
        monitor: String,
        /// What it was.
        value: f64,
        /// What is borne.
        threshold: f64,
    },
    /// The run is as long as it may be, in steps or in time.
    Limit {
        /// The length.
        limit: Span,
    },
    /// Someone asked from outside (Ctrl-C, SIGTERM); the run can be resumed.
    Interrupted,
    /// A callback asked for it.
    Callback {
        /// Its name.
        callback: String,
        /// Its words.
        message: String,
    },
}

impl StopReason {
    /// The reason as one word, as it stands in reports: `completed`, `early_stopping`, `reached`, `diverged`, `limit`,
    /// `interrupted`, `callback`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::EarlyStopping { .. } => "early_stopping",
            Self::Reached { .. } => "reached",
            Self::Diverged { .. } => "diverged",
            Self::Limit { .. } => "limit",
            Self::Interrupted => "interrupted",
            Self::Callback { .. } => "callback",
        }
    }
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Completed => write!(f, "all epochs done"),
            Self::EarlyStopping { monitor, patience } => {
                write!(f, "{monitor} did not improve in {patience} validations")
            }
            Self::Reached { monitor, value, threshold } => {
                write!(f, "{monitor} reached {threshold}: it is {value}")
            }
            Self::Diverged { monitor, value, threshold } => {
                write!(f, "{monitor} became worse than {threshold}: it is {value}")
            }
            Self::Limit { limit } => write!(f, "the limit of {limit} is reached"),
            Self::Interrupted => write!(f, "interrupted"),
            Self::Callback { callback, message } => write!(f, "{callback}: {message}"),
        }
    }
}
