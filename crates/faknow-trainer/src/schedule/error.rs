//! What can be wrong with a schedule.

use faknow_data::common::{OtherError, describe};
use faknow_data::from_other_errors;

use super::Unit;

/// A schedule that cannot be built, stepped or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A setting is outside its range, or does not fit the run.
    #[error("schedule `{schedule}`: {key}: expected {expected}, got {got}")]
    Setting {
        /// Name of the schedule: `step`, `one_cycle`, …
        schedule: String,
        /// The setting: `gamma`, `schedules[1].t_max`.
        key: String,
        /// What would be right.
        expected: String,
        /// What was given.
        got: String,
    },
    /// The schedule leads to a rate that no optimizer can use.
    #[error(
        "schedule `{schedule}`: the learning rate of group {group} after {t} {unit}s: expected a finite number of \
         at least 0, got {rate}"
    )]
    Rate {
        /// Name of the schedule.
        schedule: String,
        /// What the schedule counts.
        unit: Unit,
        /// How many of them were done.
        t: u64,
        /// The parameter group, from 0.
        group: usize,
        /// The rate.
        rate: f64,
    },
    /// A saved state is not one of this schedule.
    #[error("schedule `{schedule}`: saved state: {message}")]
    State {
        /// Name of the schedule that was to take the state over.
        schedule: String,
        /// What is wrong with it.
        message: String,
    },
    /// A custom schedule failed; `?` makes it of any common error, [`ScheduleError::other`] of every error.
    #[error("schedule: {}", describe(&**.0))]
    Other(OtherError),
}

from_other_errors!(ScheduleError);

impl ScheduleError {
    /// A [`ScheduleError::Other`] of any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other(error.into())
    }
}
