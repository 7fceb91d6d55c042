//! The recorded values of a training run, per epoch.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exact::ExactHistory;
use crate::{Error, Result, Score, Scores, canonical_metric_name};

/// The recorded values of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Number of optimizer steps since the start of the run.
    pub step: u64,
    /// Number of training samples since the start of the run.
    pub samples: u64,
    /// `loss`, the mean over the samples of the epoch, then its parts as `loss/<part>`.
    pub train: Scores,
    /// `loss`, its parts and the metrics of the validation; `None` without validation.
    pub valid: Option<Scores>,
    /// Learning rates of the last update of the epoch, one per parameter group.
    pub learning_rates: Vec<f64>,
    /// Mean over the steps of the global gradient norm before clipping; `None` if not measured.
    pub grad_norm: Option<f64>,
    /// Duration of the training pass in seconds.
    pub train_seconds: f64,
    /// Duration of the validation pass in seconds; 0 without validation.
    pub valid_seconds: f64,
}

impl EpochRecord {
    /// Returns the score `train/<name>` or `valid/<name>`, for example `valid/accuracy` or `train/loss`.
    pub fn get(&self, key: &str) -> Option<&Score> {
        match key.split_once('/')? {
            ("train", name) => self.train.get(name),
            ("valid", name) => self.valid.as_ref()?.get(name),
            _ => None,
        }
    }
}

/// The records of all epochs of a run, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One record per finished epoch.
    pub epochs: Vec<EpochRecord>,
    /// One record per validation within an epoch; its training values are those of the epoch so far.
    #[serde(rename = "inside", default, skip_serializing_if = "Vec::is_empty")]
    pub mid_epoch: Vec<EpochRecord>,
}

impl History {
    /// Returns the record of the last finished epoch.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }

    /// Returns one value per epoch, as (epoch, value): `valid/accuracy` (or `accuracy`), `train/loss`; aliases of metrics are
    /// accepted.
    ///
    /// Contains every epoch; a value that is undefined or was not recorded is `None`.
    ///
    /// # Errors
    /// No epoch has recorded a value of this name; the error lists the recorded names.
    pub fn series(&self, name: &str) -> Result<Vec<(usize, Option<f64>)>> {
        let (phase, metric) = match name.split_once('/') {
            Some((phase @ ("train" | "valid"), metric)) => (phase, metric),
            _ => ("valid", name),
        };
        let key = format!("{phase}/{}", canonical_metric_name(metric));
        if !self.epochs.is_empty() && self.epochs.iter().all(|record| record.get(&key).is_none()) {
            return Err(Error::NotRecorded { name: name.to_owned(), known: self.names() });
        }
        let value = |record: &EpochRecord| (record.epoch, record.get(&key).and_then(Score::value));
        Ok(self.epochs.iter().map(value).collect())
    }

    /// Returns the names of all recorded values: `train/loss`, …, `valid/accuracy`, …
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (phase, scores) in
            self.epochs.iter().flat_map(|r| [("train", Some(&r.train)), ("valid", r.valid.as_ref())])
        {
            for name in scores.into_iter().flat_map(Scores::names) {
                let name = format!("{phase}/{name}");
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// Returns all records in the order in which they were made, each with whether it is of a validation within an epoch.
    pub fn in_order(&self) -> Vec<(&EpochRecord, bool)> {
        let mid_epoch = self.mid_epoch.iter().map(|record| (record, true));
        let mut records: Vec<_> = self.epochs.iter().map(|record| (record, false)).chain(mid_epoch).collect();
        // Skipped updates do not count as steps, so a validation may have the step of the end of the previous epoch.
        records.sort_by_key(|(record, is_mid_epoch)| (record.epoch, record.step, !is_mid_epoch));
        records
    }

    /// Returns whether `record`, the newest, is of a validation within an epoch, not of a finished epoch.
    pub fn is_mid_epoch(&self, record: &EpochRecord) -> bool {
        let is_newest = |records: &[EpochRecord]| {
            records.last().is_some_and(|last| (last.epoch, last.step) == (record.epoch, record.step))
        };
        is_newest(&self.mid_epoch) && !is_newest(&self.epochs)
    }

    /// Returns the history as lossless JSON for checkpoints, see [`from_state`](Self::from_state).
    ///
    /// Unlike the readable JSON of `Serialize` it preserves the reasons of undefined scores and the bits of NaN and infinity.
    pub fn to_state(&self) -> Value {
        // Plain data with string keys always serializes.
        serde_json::to_value(ExactHistory::from(self)).unwrap_or_default()
    }

    /// Restores the history bit-exactly from [`to_state`](Self::to_state).
    ///
    /// ```
    /// use faknow_metrics::History;
    ///
    /// let history = History::default();
    /// assert_eq!(History::from_state(&history.to_state())?, history);
    /// # Ok::<(), faknow_metrics::Error>(())
    /// ```
    ///
    /// # Errors
    /// `state` is not a saved history.
    pub fn from_state(state: &Value) -> Result<Self> {
        let exact =
            ExactHistory::deserialize(state).map_err(|e| Error::SavedHistory { message: e.to_string() })?;
        Ok(exact.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let record = |epoch: usize, valid: Option<Scores>| EpochRecord {
            epoch,
            step: 10 * epoch as u64,
            samples: 320 * epoch as u64,
            train: [("loss", 1.0 / epoch as f64), ("loss/class", 0.5)].into_iter().collect(),
            valid,
            learning_rates: vec![1e-3, 1e-4],
            grad_norm: (epoch > 1).then_some(0.1 + 0.2),
            train_seconds: 1.5,
            valid_seconds: 0.25,
        };
        let valid: Scores =
            [("loss", Score::from(0.4)), ("roc_auc", Score::undefined("recorded as undefined"))]
                .into_iter()
                .collect();
        History { epochs: vec![record(1, None), record(2, Some(valid))], mid_epoch: Vec::new() }
    }

    #[test]
    fn records_are_in_the_order_of_the_run() {
        let record = |epoch, step| EpochRecord { epoch, step, ..history().epochs[0].clone() };
        let history = History {
            epochs: vec![record(1, 10), record(2, 20)],
            mid_epoch: vec![record(1, 5), record(2, 10), record(2, 20)],
        };
        let order: Vec<_> =
            history.in_order().iter().map(|(it, is_mid)| (it.epoch, it.step, *is_mid)).collect();
        assert_eq!(order, [(1, 5, true), (1, 10, false), (2, 10, true), (2, 20, true), (2, 20, false)]);
    }

    #[test]
    fn series_lists_every_epoch() {
        let check = |key: &str, expected: [Option<f64>; 2]| {
            assert_eq!(history().series(key).unwrap(), [(1, expected[0]), (2, expected[1])], "{key}");
        };
        check("train/loss", [Some(1.0), Some(0.5)]);
        check("train/loss/class", [Some(0.5), Some(0.5)]);
        check("valid/loss", [None, Some(0.4)]);
        check("valid/roc_auc", [None, None]);
        check("loss", [None, Some(0.4)]);
        check("valid/auc", [None, None]);
        check("AUC", [None, None]);
        for name in ["valid/unknown", "test/loss", "train/roc_auc", "acuracy"] {
            let error = history().series(name).unwrap_err().to_string();
            let known = "train/loss, train/loss/class, valid/loss, valid/roc_auc";
            assert_eq!(error, format!("unknown recorded value `{name}`: expected one of {known}"));
        }
        assert_eq!(History::default().series("accuracy").unwrap(), []);
        assert_eq!(history().last().map(|record| record.epoch), Some(2));
        assert_eq!(History::default().last(), None);
    }

    #[test]
    fn is_mid_epoch_is_false_for_finished_epochs() {
        let mut history = history();
        let mut record = history.epochs[1].clone();
        assert!(!history.is_mid_epoch(&record));
        record.step += 5;
        record.train.insert("loss", Score::Defined(f64::NAN)); // NaN is not equal to itself
        history.mid_epoch.push(record.clone());
        assert!(history.is_mid_epoch(&record));
        // Validated again at the end of the epoch, at the same step.
        history.epochs.push(record.clone());
        assert!(!history.is_mid_epoch(&record));
    }

    #[test]
    fn json_roundtrip_is_exact() {
        let json = serde_json::to_string(&history()).unwrap();
        assert_eq!(serde_json::from_str::<History>(&json).unwrap(), history());
    }
}
