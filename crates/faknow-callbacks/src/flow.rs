//! Stopping is not failing: what a callback returns, and why a run ended.

use serde::{Deserialize, Serialize};

use crate::Interval;

/// What a hook tells the loop to do.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a run has to stop when a callback says so"]
pub enum Flow {
    /// Continue.
    Continue,
    /// End the run gracefully, for this reason.
    Stop(StopReason),
}

impl Flow {
    /// Ends the run gracefully; the reason in the report is the callback's name and `message`.
    ///
    /// ```
    /// use faknow_callbacks::{Flow, on_epoch_end};
    ///
    /// let budget = on_epoch_end(|run, _| {
    ///     Ok(if run.seconds() < 60.0 { Flow::Continue } else { Flow::stop("a minute is enough") })
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
    /// All epochs were done.
    Completed,
    /// The monitored value no longer improved.
    EarlyStopping {
        /// Name of the monitored value.
        monitor: String,
        /// Validations in a row without an improvement.
        patience: usize,
    },
    /// The monitored value is as good as requested.
    Reached {
        /// Name of the monitored value.
        monitor: String,
        /// The value.
        value: f64,
        /// The requested value.
        threshold: f64,
    },
    /// The monitored value is worse than the divergence threshold.
    Diverged {
        /// Name of the monitored value.
        monitor: String,
        /// The value.
        value: f64,
        /// The worst acceptable value.
        threshold: f64,
    },
    /// The run is as long as it may be, in steps or in time.
    Limit {
        /// The length.
        limit: Interval,
    },
    /// Requested from outside (Ctrl-C, SIGTERM); the run can be resumed.
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
