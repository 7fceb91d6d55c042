//! Validation of settings and learning rates.

use std::fmt::Display;

use super::{Result, ScheduleError, Unit};

/// A setting that is out of range; [`InvalidSetting::in_schedule`] adds the name of the schedule.
#[derive(Debug)]
pub(super) struct InvalidSetting {
    key: String,
    expected: String,
    got: String,
}

pub(super) type Checked<T> = std::result::Result<T, InvalidSetting>;

impl InvalidSetting {
    pub(super) fn new(key: impl Into<String>, expected: impl Into<String>, got: impl Display) -> Self {
        Self { key: key.into(), expected: expected.into(), got: got.to_string() }
    }

    /// Prepends the key of the part that the setting belongs to.
    pub(super) fn in_part(self, parent: &str) -> Self {
        Self { key: format!("{parent}.{}", self.key), ..self }
    }

    pub(super) fn in_schedule(self, schedule: &str) -> ScheduleError {
        let Self { key, expected, got } = self;
        ScheduleError::Setting { schedule: schedule.to_owned(), key, expected, got }
    }
}

pub(super) fn positive(key: &str, value: f64) -> Checked<f64> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(InvalidSetting::new(key, "a finite number above 0", value))
    }
}

pub(super) fn not_negative(key: &str, value: f64) -> Checked<f64> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(InvalidSetting::new(key, "a finite number of at least 0", value))
    }
}

pub(super) fn fraction(key: &str, value: f64) -> Checked<f64> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(InvalidSetting::new(key, "a number from 0 to 1", value))
    }
}

pub(super) fn at_least_one(key: &str, value: u64) -> Checked<u64> {
    if value >= 1 { Ok(value) } else { Err(InvalidSetting::new(key, "at least 1", value)) }
}

pub(super) fn base_lrs(schedule: &str, base_lrs: &[f64]) -> Result<()> {
    if base_lrs.is_empty() {
        let invalid =
            InvalidSetting::new("base_lrs", "a base learning rate for each parameter group", "none");
        return Err(invalid.in_schedule(schedule));
    }
    for (group, &lr) in base_lrs.iter().enumerate() {
        not_negative(&format!("base_lrs[{group}]"), lr).map_err(|e| e.in_schedule(schedule))?;
    }
    Ok(())
}

pub(super) fn learning_rates(
    schedule: &str,
    unit: Unit,
    t: u64,
    learning_rates: Vec<f64>,
) -> Result<Vec<f64>> {
    match learning_rates.iter().position(|lr| !(lr.is_finite() && *lr >= 0.0)) {
        None => Ok(learning_rates),
        Some(group) => {
            let learning_rate = learning_rates[group];
            Err(ScheduleError::LearningRate { schedule: schedule.to_owned(), unit, t, group, learning_rate })
        }
    }
}
