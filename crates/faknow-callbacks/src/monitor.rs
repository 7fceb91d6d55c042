//! The monitored value, by which epochs are compared, and the direction in which it improves.

use faknow_metrics::{Direction, EpochRecord, Metrics, canonical_metric_name};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Run};

/// Prefix of values of the training pass; values of validation have no prefix in a [`Monitor`].
const TRAIN: &str = "train/";

/// A recorded value to monitor: the validation `loss`, a part of it (`loss/class`), a metric or a value that a callback
/// logs; with the prefix `train/`, the value of the training pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// Name of the value, without `valid/`: `accuracy`, `train/loss`.
    pub name: String,
    /// Direction of improvement.
    pub direction: Direction,
}

impl Monitor {
    /// Creates a monitor of a value to maximize.
    pub fn max(name: impl AsRef<str>) -> Self {
        Self { name: canonical_monitor_name(name.as_ref()), direction: Direction::Maximize }
    }

    /// Creates a monitor of a value to minimize.
    pub fn min(name: impl AsRef<str>) -> Self {
        Self { name: canonical_monitor_name(name.as_ref()), direction: Direction::Minimize }
    }

    /// Returns a monitor for every value that a validation with these metrics records: the loss and each metric.
    pub fn all(metrics: &Metrics) -> Vec<Self> {
        let metrics = metrics.directions().into_iter().map(|(name, direction)| Self { name, direction });
        std::iter::once(Self::min("loss")).chain(metrics).collect()
    }

    /// Returns the monitored value of a record; `None` if it is missing, undefined or not finite. A value that is only used
    /// by convention is undefined.
    pub fn value(&self, record: &EpochRecord) -> Option<f64> {
        record.get(&self.key())?.defined().filter(|value| value.is_finite())
    }

    /// Returns why the monitored value of a record is undefined; `None` if it is defined or missing.
    pub fn reason<'a>(&self, record: &'a EpochRecord) -> Option<&'a str> {
        record.get(&self.key())?.reason()
    }

    /// Returns whether the record contains the monitored value, even if it is undefined.
    pub fn is_recorded(&self, record: &EpochRecord) -> bool {
        record.get(&self.key()).is_some()
    }

    /// Returns whether the record should contain the monitored value: an epoch without validation has no validation values.
    pub fn is_due(&self, record: &EpochRecord) -> bool {
        record.valid.is_some() || self.name.starts_with(TRAIN)
    }

    /// Returns the monitored value of an epoch, as [`value`](Self::value) does.
    ///
    /// # Errors
    /// The record should contain the value but does not, not even as undefined.
    pub fn require(&self, record: &EpochRecord) -> Result<Option<f64>> {
        if !self.is_due(record) || self.is_recorded(record) {
            return Ok(self.value(record));
        }
        let available = record.valid.iter().flat_map(|valid| valid.names()).map(str::to_owned);
        Err(Error::MissingMonitor {
            name: self.name.clone(),
            epoch: record.epoch,
            available: available.collect(),
        })
    }

    /// Returns the name with its phase.
    fn key(&self) -> String {
        if self.name.starts_with(TRAIN) { self.name.clone() } else { format!("valid/{}", self.name) }
    }
}

/// The monitor in a setting: the name of a recorded value, whose direction is known, or a [`Monitor`].
///
/// Names are accepted with or without `valid/`; see [`canonical_monitor_name`].
///
/// ```
/// use faknow_callbacks::{Monitor, MonitorChoice};
///
/// assert_eq!(MonitorChoice::from(Monitor::max("valid/auc")), MonitorChoice::Monitor(Monitor::max("roc_auc")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorChoice {
    /// The name of a recorded value.
    Name(String),
    /// A value with its direction.
    Monitor(Monitor),
}

impl MonitorChoice {
    /// Returns the canonical name of the monitored value.
    pub fn name(&self) -> String {
        match self {
            Self::Name(name) => canonical_monitor_name(name),
            Self::Monitor(monitor) => monitor.name.clone(),
        }
    }

    /// Returns the monitor for a run, with the direction of the recorded value.
    ///
    /// # Errors
    /// The value is one of validation but the run has no validation data, or no value of this name is recorded.
    pub fn resolve(&self, run: &Run) -> Result<Monitor> {
        let name = self.name();
        if !name.starts_with(TRAIN) && run.monitors().is_empty() {
            return Err(Error::NoValidation { component: format!("monitor `{name}`") });
        }
        if let Self::Monitor(monitor) = self {
            return Ok(monitor.clone());
        }
        let train_metrics = run.setup().train_metrics.iter();
        let train_metrics =
            train_metrics.map(|m| Monitor { name: format!("{TRAIN}{}", m.name), direction: m.direction });
        let recorded: Vec<Monitor> =
            run.monitors().iter().cloned().chain([Monitor::min("train/loss")]).chain(train_metrics).collect();
        if let Some(monitor) = recorded.iter().find(|monitor| monitor.name == name) {
            return Ok(monitor.clone());
        }
        if name.trim_start_matches(TRAIN).starts_with("loss/") {
            // The parts of the loss are only known after the first epoch: see `require`.
            return Ok(Monitor::min(name));
        }
        Err(Error::UnknownMonitor {
            name,
            available: recorded.into_iter().map(|monitor| monitor.name).collect(),
        })
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
    use faknow_metrics::{Score, Scores};
    use tch::{Device, nn::VarStore};

    use super::*;
    use crate::RunOwner;

    #[test]
    fn resolves_names_with_phase_and_aliases() {
        let mut run = RunOwner::new("run", VarStore::new(Device::Cpu));
        let error = MonitorChoice::from("accuracy").resolve(&run).unwrap_err().to_string();
        assert_eq!(error, "monitor `accuracy` requires validation data; pass a validation loader to `fit`");
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

    #[test]
    fn undefined_values_are_not_monitored() {
        let record = |score: Score| {
            let mut valid = Scores::default();
            valid.insert("precision", score);
            EpochRecord {
                epoch: 1,
                step: 1,
                samples: 0,
                train: Scores::default(),
                valid: Some(valid),
                learning_rates: Vec::new(),
                grad_norm: None,
                train_seconds: 0.0,
                valid_seconds: 0.0,
            }
        };
        for (score, expected) in [
            (Score::Defined(0.0), Some(0.0)),
            (Score::Defined(f64::NAN), None),
            (Score::undefined("one class"), None),
            (Score::undefined_or("never predicted", 0.0), None),
        ] {
            assert_eq!(Monitor::max("precision").value(&record(score.clone())), expected, "{score:?}");
        }
    }
}
