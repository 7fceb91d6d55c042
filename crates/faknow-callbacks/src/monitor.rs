//! What a run is judged by: the name of a validation value and the direction in which it is better.

use faknow_metrics::{Direction, EpochRecord};
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

    /// Finds `name` among what the run's validation records and takes the direction from the metric.
    ///
    /// # Errors
    /// The run does not validate, or records no value of this name.
    pub fn resolve(name: &str, run: &Run) -> Result<Self> {
        if run.monitors.is_empty() {
            return Err(Error::NoValidation { needed_by: format!("monitor `{name}`") });
        }
        run.monitors.iter().find(|m| m.name == name).cloned().ok_or_else(|| Error::UnknownMonitor {
            name: name.to_owned(),
            known: run.monitors.iter().map(|m| m.name.clone()).collect(),
        })
    }

    /// The watched value of an epoch; `None` if it was not validated, is undefined or is not finite.
    pub fn value(&self, record: &EpochRecord) -> Option<f64> {
        record.valid.as_ref()?.value(&self.name).filter(|v| v.is_finite())
    }
}
