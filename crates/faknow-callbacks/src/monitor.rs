//! What a run is judged by: the name of a validation value and the direction in which it is better.

use faknow_metrics::{Direction, EpochRecord, Metrics};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Run};

/// A validation value to watch: `loss`, a part of it (`loss/class`), or the name of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// Name of the value.
    pub name: String,
    /// Which way is better.
    pub direction: Direction,
}

impl Monitor {
    /// Watches `name`, of which more is better.
    pub fn max(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Maximize }
    }

    /// Watches `name`, of which less is better.
    pub fn min(name: impl Into<String>) -> Self {
        Self { name: name.into(), direction: Direction::Minimize }
    }

    /// All that a validation with these metrics records: the loss, of which less is better, and each metric.
    pub fn all(metrics: &Metrics) -> Vec<Self> {
        let metrics = metrics.directions().into_iter().map(|(name, direction)| Self { name, direction });
        std::iter::once(Self::min("loss")).chain(metrics).collect()
    }

    /// Finds `name` among what the run's validation records and takes the direction from the metric.
    ///
    /// # Errors
    /// The run does not validate, or records no value of this name.
    pub fn resolve(name: &str, run: &Run) -> Result<Self> {
        if run.monitors.is_empty() {
            return Err(Error::NoValidation { needed_by: format!("monitor `{name}`") });
        }
        if name.starts_with("loss/") {
            // Which parts a loss has is known from the first validation on: see `require`.
            return Ok(Self::min(name));
        }
        run.monitors.iter().find(|m| m.name == name).cloned().ok_or_else(|| Error::UnknownMonitor {
            name: name.to_owned(),
            known: run.monitors.iter().map(|m| m.name.clone()).collect(),
        })
    }

    /// The watched value of an epoch that was validated, as [`value`](Self::value).
    ///
    /// # Errors
    /// Validation recorded nothing of this name, not even that it is undefined.
    pub fn require(&self, record: &EpochRecord) -> Result<Option<f64>> {
        match &record.valid {
            Some(valid) if valid.get(&self.name).is_none() => Err(Error::UnknownMonitor {
                name: self.name.clone(),
                known: valid.names().map(str::to_owned).collect(),
            }),
            _ => Ok(self.value(record)),
        }
    }

    /// The watched value of an epoch; `None` if it was not validated, is undefined or is not finite.
    pub fn value(&self, record: &EpochRecord) -> Option<f64> {
        record.valid.as_ref()?.value(&self.name).filter(|v| v.is_finite())
    }
}
