//! The decision of a hook to continue or stop, and the reason why a run ended.

use serde::{Deserialize, Serialize};

use crate::Interval;

/// The decision of a hook about the run.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a run must stop when a callback requests it"]
pub enum Flow {
    /// Continues the run.
    Continue,
    /// Stops the run gracefully, for this reason.
    Stop(StopReason),
}

impl Flow {
    /// Returns a decision to stop the run gracefully, with the name of the callback and `message` as the reason.
    ///
    /// ```
    /// use faknow_callbacks::{Flow, on_epoch_end};
    ///
    /// let budget = on_epoch_end(|run, _| {
    ///     Ok(if run.seconds() < 60.0 { Flow::Continue } else { Flow::stop("time limit of one minute") })
    /// });
    /// # let _ = budget;
    /// ```
    pub fn stop(message: impl Into<String>) -> Self {
        Self::Stop(StopReason::Callback { callback: String::new(), message: message.into() })
    }
}

/// Why a run ended without an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All epochs were completed.
    Completed,
    /// The monitored value no longer improved.
    EarlyStopping {
        /// Name of the monitored value.
        monitor: String,
        /// Number of consecutive validations without an improvement.
        patience: usize,
    },
    /// The monitored value reached the stopping threshold.
    Reached {
        /// Name of the monitored value.
        monitor: String,
        /// The value.
        value: f64,
        /// The stopping threshold.
        threshold: f64,
    },
    /// The monitored value is worse than the divergence threshold.
    Diverged {
        /// Name of the monitored value.
        monitor: String,
        /// The value.
        value: f64,
        /// The divergence threshold.
        threshold: f64,
    },
    /// The run reached its maximum number of steps or its maximum duration.
    Limit {
        /// The limit.
        limit: Interval,
    },
    /// The run was interrupted (Ctrl-C, SIGTERM) and can be resumed.
    Interrupted,
    /// A callback stopped the run.
    Callback {
        /// Its name.
        callback: String,
        /// Its message.
        message: String,
    },
}

impl StopReason {
    /// Returns the reason as one word, as in reports: `completed`, `early_stopping`, `reached`, `diverged`, `limit`,
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
                write!(f, "{monitor} reached the stopping threshold {threshold}: {value}")
            }
            Self::Diverged { monitor, value, threshold } => {
                write!(f, "{monitor} passed the divergence threshold {threshold}: {value}")
            }
            Self::Limit { limit } => write!(f, "reached the limit of {limit}"),
            Self::Interrupted => write!(f, "interrupted"),
            Self::Callback { callback, message } => write!(f, "{callback}: {message}"),
        }
    }
}
