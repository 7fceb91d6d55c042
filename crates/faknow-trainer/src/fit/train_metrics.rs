//! Metrics of the training pass, computed from the logits of the training steps.

use faknow_metrics::{Metrics, Predictions, Scores};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use tch::{Device, Kind, Tensor, no_grad};

use crate::Result;
use crate::error::setting;

/// Number of batches that are counted together, which makes the cost per step negligible.
const MAX_PENDING: usize = 64;

/// Setting for the metrics of the training pass: `false` for none, or names of metrics that need only predicted classes.
///
/// ```
/// use faknow_trainer::TrainMetrics;
///
/// assert_eq!(TrainMetrics::from(true), TrainMetrics::from(["accuracy"]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrainMetrics(Vec<String>);

impl Default for TrainMetrics {
    fn default() -> Self {
        ["accuracy"].into()
    }
}

impl From<bool> for TrainMetrics {
    fn from(is_enabled: bool) -> Self {
        if is_enabled { Self::default() } else { Self(Vec::new()) }
    }
}

impl From<Vec<String>> for TrainMetrics {
    fn from(names: Vec<String>) -> Self {
        Self(names)
    }
}

impl<const N: usize> From<[&str; N]> for TrainMetrics {
    fn from(names: [&str; N]) -> Self {
        Self(names.map(str::to_owned).into())
    }
}

impl TrainMetrics {
    /// Returns the metrics with these names.
    pub(crate) fn resolve(&self) -> Result<Metrics> {
        let metrics = Metrics::from_names(&self.0)?;
        if !metrics.only_need_classes() {
            let expected = "metrics that need only predicted classes, such as accuracy and f1";
            return Err(setting("train_metrics", expected, self.0.join(", ")));
        }
        Ok(metrics)
    }
}

/// The confusion matrix of the training pass of an epoch, counted on the device.
///
/// Serialization synchronizes with the device and writes a list of counts.
#[derive(Debug, Default)]
pub(crate) struct TrainCounts {
    /// Counts, i64 `[n_classes * n_classes]`; rows are true classes.
    counts: Option<Tensor>,
    /// Logits `[n, n_classes]` and labels `[n]` that are not counted yet.
    pending: Vec<(Tensor, Tensor)>,
}

impl TrainCounts {
    /// Adds the logits and labels of a batch, without synchronizing with the device.
    pub(crate) fn add(&mut self, logits: &Tensor, labels: &Tensor) -> Result<()> {
        self.pending.push((logits.f_detach()?, labels.shallow_clone()));
        if self.pending.len() >= MAX_PENDING {
            self.counts = self.total_counts()?;
            self.pending.clear();
        }
        Ok(())
    }

    /// Returns the metrics of all batches so far; empty if no step returned logits. Synchronizes with the device.
    pub(crate) fn scores(&self, metrics: &Metrics) -> Result<Scores> {
        let counts = self.read()?;
        if metrics.is_empty() || counts.is_empty() {
            return Ok(Scores::new());
        }
        let n_classes = counts.len().isqrt();
        let (mut labels, mut scores) = (Vec::new(), Vec::new());
        for (cell, &count) in counts.iter().enumerate() {
            let (label, predicted) = (cell / n_classes, cell % n_classes);
            for _ in 0..count {
                labels.push(label);
                scores.extend((0..n_classes).map(|class| f64::from(u8::from(class == predicted))));
            }
        }
        Ok(metrics.compute(&Predictions::new(n_classes, labels, scores)?)?)
    }

    /// Moves the counts to a device.
    pub(crate) fn move_to(&mut self, device: Device) {
        self.counts = self.counts.as_ref().map(|counts| counts.to_device(device));
    }

    /// Returns all counts, including those of pending batches.
    fn total_counts(&self) -> Result<Option<Tensor>> {
        let Some((first, _)) = self.pending.first() else {
            return Ok(self.counts.as_ref().map(Tensor::shallow_clone));
        };
        no_grad(|| {
            let n_classes = first.size()[1];
            let logits: Vec<&Tensor> = self.pending.iter().map(|(logits, _)| logits).collect();
            let labels: Vec<&Tensor> = self.pending.iter().map(|(_, labels)| labels).collect();
            let predicted = Tensor::f_cat(&logits, 0)?.f_argmax(-1, false)?;
            let labels = Tensor::f_cat(&labels, 0)?.f_to_kind(Kind::Int64)?;
            let cells = labels.f_mul_scalar(n_classes)?.f_add(&predicted)?;
            let counts = match &self.counts {
                Some(counts) => counts.shallow_clone(),
                None => Tensor::f_zeros([n_classes * n_classes], (Kind::Int64, first.device()))?,
            };
            Ok(Some(counts.f_scatter_add(0, &cells, &cells.f_ones_like()?)?))
        })
    }

    fn read(&self) -> Result<Vec<i64>> {
        Ok(match self.total_counts()? {
            Some(counts) => Vec::try_from(counts.f_to_device(Device::Cpu)?)?,
            None => Vec::new(),
        })
    }
}

impl Serialize for TrainCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TrainCounts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = Vec::<i64>::deserialize(deserializer)?;
        let counts = (!counts.is_empty()).then(|| Tensor::from_slice(&counts));
        Ok(Self { counts, pending: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saving_does_not_change_counts() {
        let metrics = TrainMetrics::from(["accuracy", "f1"]).resolve().unwrap();
        let mut counts = TrainCounts::default();
        assert!(counts.scores(&metrics).unwrap().is_empty());
        let (mut n_correct, mut n) = (0, 0);
        for batch in 0..3 * MAX_PENDING as i64 {
            let labels = [0, 1, batch % 2];
            let predicted = [0, batch % 2, 1];
            let logits: Vec<f32> = predicted
                .iter()
                .flat_map(|&class| if class == 1 { [0.0, 1.0] } else { [2.0, 1.0] })
                .collect();
            let logits = Tensor::from_slice(&logits).view([3, 2]);
            counts.add(&logits, &Tensor::from_slice(&labels)).unwrap();
            n_correct +=
                labels.iter().zip(predicted).filter(|(label, predicted)| **label == *predicted).count();
            n += 3;
            if batch % 50 == 0 {
                let json = serde_json::to_string(&counts).unwrap();
                counts = serde_json::from_str(&json).unwrap();
            }
        }
        let scores = counts.scores(&metrics).unwrap();
        assert_eq!(scores.value("accuracy"), Some(n_correct as f64 / n as f64));
        assert!(scores.value("f1").is_some());
        assert!(counts.scores(&TrainMetrics::from(false).resolve().unwrap()).unwrap().is_empty());
    }

    #[test]
    fn rejects_metrics_that_need_scores() {
        let error = TrainMetrics::from(["accuracy", "roc_auc"]).resolve().unwrap_err().to_string();
        assert!(
            error.starts_with("train_metrics: expected metrics that need only predicted classes"),
            "{error}"
        );
    }
}
