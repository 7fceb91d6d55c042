//! The value by which epochs are compared: its name and the direction in which it is better.

use faknow_metrics::{Direction, EpochRecord, Metrics, canonical_metric_name};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Run};

/// Prefix of values of the training pass; those of validation have none in a [`Monitor`].
const TRAIN: &str = "train/";

/// A recorded value to watch: the validation's `loss`, a part of it (`loss/class`), a metric, a value that a callback
/// logs, or with `train/` in front that of the training pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// Name of the value, without `valid/`: `accuracy`, `train/loss`.
    pub name: String,
    /// Which way is better.
    pub direction: Direction,
}

impl Monitor {
    /// Returns a monitor of `name`, of which more is better.
    pub fn max(name: impl AsRef<str>) -> Self {
        Self { name: canonical_monitor_name(name.as_ref()), direction: Direction::Maximize }
    }

    /// Returns a monitor of `name`, of which less is better.
    pub fn min(name: impl AsRef<str>) -> Self {
        Self { name: canonical_monitor_name(name.as_ref()), direction: Direction::Minimize }
    }

    /// Returns all that a validation with these metrics records: the loss, of which less is better, and each metric.
    pub fn all(metrics: &Metrics) -> Vec<Self> {
        let metrics = metrics.directions().into_iter().map(|(name, direction)| Self { name, direction });
        std::iter::once(Self::min("loss")).chain(metrics).collect()
    }

    /// Returns the watched value of a record; `None` if it is missing, undefined or not finite.
    pub fn value(&self, record: &EpochRecord) -> Option<f64> {
        record.get(&self.key())?.value().filter(|value| value.is_finite())
    }

    /// Whether the record has the watched value, be it undefined.
    pub fn is_recorded(&self, record: &EpochRecord) -> bool {
        record.get(&self.key()).is_some()
    }

    /// Whether an epoch with this record was measured at all: one that was not validated has no validation values.
    pub fn is_due(&self, record: &EpochRecord) -> bool {
        record.valid.is_some() || self.name.starts_with(TRAIN)
    }

    /// Returns the watched value of an epoch, as [`value`](Self::value).
    ///
    /// # Errors
    /// The epoch was validated and recorded nothing of this name, not even that it is undefined.
    pub fn require(&self, record: &EpochRecord) -> Result<Option<f64>> {
        if !self.is_due(record) || self.is_recorded(record) {
            return Ok(self.value(record));
        }
        let known = record.valid.iter().flat_map(|valid| valid.names()).map(str::to_owned);
        Err(Error::MissingMonitor { name: self.name.clone(), epoch: record.epoch, known: known.collect() })
    }

    /// The name with its phase.
    fn key(&self) -> String {
        if self.name.starts_with(TRAIN) { self.name.clone() } else { format!("valid/{}", self.name) }
    }
}

/// What to monitor, as settings accept it: the name of a recorded value, which knows its direction, or a [`Monitor`].
///
/// Names are accepted with and without `valid/`, and with the aliases of metrics.
///
/// ```
/// use faknow_callbacks::{Monitor, MonitorChoice};
///
/// assert_eq!(MonitorChoice::from(Monitor::max("valid/auc")), MonitorChoice::Monitor(Monitor::max("roc_auc")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorChoice {
    /// A value that is recorded by this name.
    Name(String),
    /// Any value, in this direction.
    Monitor(Monitor),
}

impl MonitorChoice {
    /// Finds the value among those that the run records.
    ///
    /// # Errors
    /// The run has no validation data and the value is one of validation, or no value of this name is recorded.
    pub fn resolve(&self, run: &Run) -> Result<Monitor> {
        let name = match self {
            Self::Name(name) => canonical_monitor_name(name),
            Self::Monitor(monitor) => monitor.name.clone(),
        };
        if !name.starts_with(TRAIN) && run.monitors().is_empty() {
            return Err(Error::NoValidation { needed_by: format!("monitor `{name}`") });
        }
        if let Self::Monitor(monitor) = self {
            return Ok(monitor.clone());
        }
        let of_train = run.setup().train_metrics.iter();
        let of_train =
            of_train.map(|m| Monitor { name: format!("{TRAIN}{}", m.name), direction: m.direction });
        let known: Vec<Monitor> =
            run.monitors().iter().cloned().chain([Monitor::min("train/loss")]).chain(of_train).collect();
        if let Some(monitor) = known.iter().find(|monitor| monitor.name == name) {
            return Ok(monitor.clone());
        }
        if name.trim_start_matches(TRAIN).starts_with("loss/") {
            // Which parts a loss has is known from the first epoch on: see `require`.
            return Ok(Monitor::min(name));
        }
        Err(Error::UnknownMonitor { name, known: known.into_iter().map(|monitor| monitor.name).collect() })
    }
}

impl From<&str> for MonitorChoice {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for MonitorChoice {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<&String> for MonitorChoice {
    fn from(name: &String) -> Self {
        Self::Name(name.clone())
    }
}

impl From<Monitor> for MonitorChoice {
    fn from(monitor: Monitor) -> Self {
        Self::Monitor(monitor)
    }
}

/// Returns the name under which a value is monitored: without `valid/`, and with the canonical name of a metric for its
/// aliases and other spellings.
///
/// ```
/// use faknow_callbacks::canonical_monitor_name;
///
/// let names = ["valid/AUC", "train/f1-macro", "loss", "my_value"].map(canonical_monitor_name);
/// assert_eq!(names, ["roc_auc", "train/f1_macro", "loss", "my_value"]);
/// ```
pub fn canonical_monitor_name(name: &str) -> String {
    let name = name.trim();
    match name.strip_prefix(TRAIN) {
        Some(name) => format!("{TRAIN}{}", canonical_metric_name(name)),
        None => canonical_metric_name(name.strip_prefix("valid/").unwrap_or(name)),
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn::VarStore};

    use super::*;
    use crate::RunOwner;

    #[test]
    fn names_are_found_with_phase_and_aliases() {
        let mut run = RunOwner::new("run", VarStore::new(Device::Cpu));
        let error = MonitorChoice::from("accuracy").resolve(&run).unwrap_err().to_string();
        assert_eq!(error, "monitor `accuracy` needs validation data; give `fit` a validation loader");
        let metrics = Metrics::from_names(&["accuracy", "auc", "log_loss"]).unwrap();
        run.setup_mut().monitors = Monitor::all(&metrics);
        run.setup_mut().train_metrics = vec![Monitor::max("accuracy")];
        let check = |choice: MonitorChoice, expected: Option<Monitor>| {
            assert_eq!(choice.resolve(&run).ok(), expected, "{choice:?}");
        };
        check("accuracy".into(), Some(Monitor::max("accuracy")));
        check("valid/accuracy".into(), Some(Monitor::max("accuracy")));
        check("AUC".into(), Some(Monitor::max("roc_auc")));
        check("valid/auc".into(), Some(Monitor::max("roc_auc")));
        check("log-loss".into(), Some(Monitor::min("log_loss")));
        check("loss".into(), Some(Monitor::min("loss")));
        check("loss/class".into(), Some(Monitor::min("loss/class")));
        check("train/loss".into(), Some(Monitor::min("train/loss")));
        check("train/accuracy".into(), Some(Monitor::max("train/accuracy")));
        check("train/f1".into(), None);
        check("acuracy".into(), None);
        check("test/accuracy".into(), None);
        check(Monitor::min("reward").into(), Some(Monitor::min("reward")));
        let error = MonitorChoice::from("acuracy").resolve(&run).unwrap_err().to_string();
        assert!(error.contains("accuracy, roc_auc, log_loss, train/loss, train/accuracy"), "{error}");
    }
}
