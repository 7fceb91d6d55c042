//! Errors of schedules.

use faknow_data::common::{OtherError, describe, strip_any_frames};
use faknow_data::from_other_errors;

use super::Unit;

/// An error of building, stepping or restoring a schedule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A setting is out of range, or does not fit the run.
    #[error("schedule `{schedule}`: {key}: expected {expected}, got {got}")]
    Setting {
        /// Name of the schedule: `step`, `one_cycle`, …
        schedule: String,
        /// The setting: `gamma`, `schedules[1].t_max`.
        key: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        got: String,
    },
    /// A learning rate is negative or not finite.
    #[error(
        "schedule `{schedule}`: the learning rate of group {group} after {t} {unit}s: expected a finite number of \
         at least 0, got {learning_rate}"
    )]
    LearningRate {
        /// Name of the schedule.
        schedule: String,
        /// The unit that the schedule counts.
        unit: Unit,
        /// Number of units so far.
        t: u64,
        /// Index of the parameter group, from 0.
        group: usize,
        /// The learning rate.
        learning_rate: f64,
    },
    /// A saved state does not belong to this schedule, or is corrupted.
    #[error("schedule `{schedule}`: saved state: {message}")]
    State {
        /// Name of the schedule to restore.
        schedule: String,
        /// The reason.
        message: String,
    },
    /// A custom schedule failed. `?` converts common errors, [`ScheduleError::other`] converts any error.
    #[error("schedule: {}", describe(&**.0))]
    Other(OtherError),
}

from_other_errors!(ScheduleError);

impl ScheduleError {
    /// Creates a [`ScheduleError::Other`] from any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(strip_any_frames(error.into()))
    }
}
