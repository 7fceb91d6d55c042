//! Checks of single settings, and of rates.

use std::fmt::Display;

use super::{Result, ScheduleError, Unit};

/// A setting that is out of its range; it learns at [`Invalid::of`] whose it is.
#[derive(Debug)]
pub(super) struct Invalid {
    key: String,
    expected: String,
    got: String,
}

pub(super) type Checked<T> = std::result::Result<T, Invalid>;

impl Invalid {
    pub(super) fn new(key: impl Into<String>, expected: impl Into<String>, got: impl Display) -> Self {
        Self { key: key.into(), expected: expected.into(), got: got.to_string() }
    }

    /// The same setting, seen from outside of the part `parent` that it belongs to.
    pub(super) fn inside(self, parent: &str) -> Self {
        Self { key: format!("{parent}.{}", self.key), ..self }
    }

    pub(super) fn of(self, schedule: &str) -> ScheduleError {
        let Self { key, expected, got } = self;
        ScheduleError::Setting { schedule: schedule.to_owned(), key, expected, got }
    }
}

pub(super) fn positive(key: &str, value: f64) -> Checked<f64> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(Invalid::new(key, "a finite number above 0", value))
    }
}

pub(super) fn not_negative(key: &str, value: f64) -> Checked<f64> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(Invalid::new(key, "a finite number of at least 0", value))
    }
}

pub(super) fn fraction(key: &str, value: f64) -> Checked<f64> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Invalid::new(key, "a number from 0 to 1", value))
    }
}

pub(super) fn at_least_one(key: &str, value: u64) -> Checked<u64> {
    if value >= 1 { Ok(value) } else { Err(Invalid::new(key, "at least 1", value)) }
}

pub(super) fn base_lrs(schedule: &str, base_lrs: &[f64]) -> Result<()> {
    if base_lrs.is_empty() {
        return Err(Invalid::new("base_lrs", "a base rate for each parameter group", "none").of(schedule));
    }
    for (group, &lr) in base_lrs.iter().enumerate() {
        not_negative(&format!("base_lrs[{group}]"), lr).map_err(|e| e.of(schedule))?;
    }
    Ok(())
}

pub(super) fn rates(schedule: &str, unit: Unit, t: u64, rates: Vec<f64>) -> Result<Vec<f64>> {
    match rates.iter().position(|rate| !(rate.is_finite() && *rate >= 0.0)) {
        None => Ok(rates),
        Some(group) => {
            Err(ScheduleError::Rate { schedule: schedule.to_owned(), unit, t, group, rate: rates[group] })
        }
    }
}
