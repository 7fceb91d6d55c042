//! A trial of a search: its settings and results.

use std::cmp::Ordering;
use std::path::PathBuf;

use faknow_callbacks::{Monitor, StopReason};
use faknow_metrics::Direction;
use faknow_trainer::FitReport;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// A trial of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Number of the trial, from 1.
    pub number: usize,
    /// Settings of the trial by dotted name.
    pub settings: Table,
    /// Monitored value of the detector after each of its rungs; `None` if undefined.
    pub values: Vec<Option<f64>>,
    /// Number of completed epochs.
    pub epochs: usize,
    /// The best epoch so far, from 1; `None` if the monitored value was never defined.
    pub best_epoch: Option<usize>,
    /// Stop reason of the training: `completed`, `early_stopping`, …; `None` if it is waiting, paused or failed.
    #[serde(rename = "ended")]
    pub stop_reason: Option<String>,
    /// Error of a failed trial.
    pub error: Option<String>,
}

impl Trial {
    pub(crate) fn new(number: usize, settings: Table) -> Self {
        Self {
            number,
            settings,
            values: Vec::new(),
            epochs: 0,
            best_epoch: None,
            stop_reason: None,
            error: None,
        }
    }

    /// Returns the latest monitored value; `None` if it is undefined or not available yet.
    pub fn value(&self) -> Option<f64> {
        self.values.last().copied().flatten()
    }

    /// Returns the status in one word: `waiting`, `paused` (after a rung), `failed`, or the stop reason.
    pub fn status(&self) -> &str {
        match (&self.error, &self.stop_reason) {
            (Some(_), _) => "failed",
            (None, Some(stop_reason)) => stop_reason,
            (None, None) if self.values.is_empty() => "waiting",
            (None, None) => "paused",
        }
    }

    /// Formats the settings on one line: `optimizer.lr=0.001 model.dropout=0.3`.
    pub fn describe(&self) -> String {
        let show = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name}={}", show(value))).collect();
        settings.join(" ")
    }

    /// Returns the run directory, relative to that of the search.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from("trials").join(format!("{:04}", self.number))
    }

    /// Records the result of a rung; `restore_best` is whether the detector has the weights of the best epoch.
    pub(crate) fn record(&mut self, fit: &FitReport, monitor: &Monitor, restore_best: bool) {
        self.values.push(value(fit, monitor, restore_best));
        self.epochs = fit.history.epochs.len();
        self.best_epoch = fit.best.as_ref().map(|best| best.epoch);
        self.stop_reason =
            (fit.stop_reason != StopReason::Interrupted).then(|| fit.stop_reason.code().to_owned());
    }

    /// Compares two trials, the better one first: failed trials come last, then those of earlier rungs, then those with a
    /// worse or undefined value; of equal trials, the earlier one comes first.
    pub(crate) fn compare(&self, other: &Self, direction: Direction) -> Ordering {
        let failed = self.error.is_some().cmp(&other.error.is_some());
        let rungs = other.values.len().cmp(&self.values.len());
        let values = compare(self.value(), other.value(), direction);
        failed.then(rungs).then(values).then(self.number.cmp(&other.number))
    }
}

/// Compares two values, the better one first and undefined values last.
pub(crate) fn compare(a: Option<f64>, b: Option<f64>, direction: Direction) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if direction.is_better(a, b) => Ordering::Less,
        (Some(a), Some(b)) if direction.is_better(b, a) => Ordering::Greater,
        (Some(_), Some(_)) | (None, None) => Ordering::Equal,
        (a, _) => {
            if a.is_some() {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
    }
}

/// Returns the monitored value of the detector of a run: that of the best validation with `restore_best`, else of the last
/// one.
fn value(fit: &FitReport, monitor: &Monitor, restore_best: bool) -> Option<f64> {
    if restore_best {
        return fit.best.as_ref().map(|best| best.value);
    }
    let last = fit.history.epochs.iter().rfind(|record| record.valid.is_some());
    last.and_then(|record| monitor.value(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(number: usize, values: &[Option<f64>], error: Option<&str>) -> Trial {
        let error = error.map(str::to_owned);
        Trial { values: values.to_vec(), error, ..Trial::new(number, Table::new()) }
    }

    #[test]
    fn trials_are_ranked_by_rung_and_value_with_undefined_and_failed_last() {
        let mut trials = [
            trial(1, &[Some(0.9)], Some("the loss is NaN")),
            trial(2, &[None], None),
            trial(3, &[Some(0.7)], None),
            trial(4, &[Some(0.95)], None),
            trial(5, &[Some(0.2), Some(0.8)], None),
            trial(6, &[Some(0.7)], None),
            trial(7, &[Some(0.6), None], None),
        ];
        let mut check = |direction, expected: &[usize]| {
            trials.sort_by(|a, b| a.compare(b, direction));
            assert_eq!(trials.iter().map(|trial| trial.number).collect::<Vec<_>>(), expected);
        };
        check(Direction::Maximize, &[5, 7, 4, 3, 6, 2, 1]);
        check(Direction::Minimize, &[5, 7, 3, 6, 4, 2, 1]);
    }

    #[test]
    fn status_is_the_phase_or_the_stop_reason() {
        let check = |trial: Trial, expected: &str| assert_eq!(trial.status(), expected);
        check(trial(1, &[], None), "waiting");
        check(trial(1, &[Some(0.5)], None), "paused");
        check(trial(1, &[], Some("the loss is NaN")), "failed");
        let stop_reason = Some("early_stopping".to_owned());
        check(Trial { stop_reason, ..trial(1, &[Some(0.5)], None) }, "early_stopping");
        let settings = "a.b = 0.5\na.c = 'sgd'\na.d = [2, 3]".parse::<Table>().unwrap();
        let settings = settings["a"].as_table().unwrap().clone();
        assert_eq!(Trial::new(3, settings).describe(), "b=0.5 c=sgd d=[2, 3]");
    }
}
