//! Values that callbacks and training steps log during a run.

use faknow_metrics::Scores;
use serde::{Deserialize, Serialize};

/// The logged values of a pass over data: means over samples, or single values, in the order in which their names were
/// first logged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LoggedValues(Vec<LoggedValue>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoggedValue {
    name: String,
    /// The single value, or the sum over samples; `None` if it is not finite, since JSON has neither NaN nor infinities.
    sum: Option<f64>,
    /// Number of samples of the sum; 0 for a single value.
    n_samples: u64,
}

impl LoggedValues {
    /// Adds the value of a batch to the mean, weighted by its number of samples.
    pub fn add(&mut self, name: &str, value: f64, n_samples: usize) {
        let value = Some(value * n_samples as f64).filter(|value| value.is_finite());
        let entry = self.entry(name);
        entry.sum =
            if entry.n_samples == 0 { value } else { entry.sum.zip(value).map(|(sum, value)| sum + value) };
        entry.n_samples += n_samples as u64;
    }

    /// Sets a single value.
    pub fn set(&mut self, name: &str, value: f64) {
        let entry = self.entry(name);
        (entry.sum, entry.n_samples) = (Some(value).filter(|value| value.is_finite()), 0);
    }

    /// Appends the values to `scores`.
    pub fn write_to(&self, scores: &mut Scores) {
        for LoggedValue { name, sum, n_samples } in &self.0 {
            let mean =
                sum.map_or(f64::NAN, |sum| if *n_samples == 0 { sum } else { sum / *n_samples as f64 });
            scores.insert(name.clone(), mean);
        }
    }

    /// Returns whether no value was logged.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn entry(&mut self, name: &str) -> &mut LoggedValue {
        let index = self.0.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            self.0.push(LoggedValue { name: name.to_owned(), sum: None, n_samples: 0 });
            self.0.len() - 1
        });
        &mut self.0[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_means_over_samples_and_single_values() {
        let mut logged = LoggedValues::default();
        logged.add("mean", 1.0, 3);
        logged.set("epoch", 7.0);
        logged.add("mean", 2.0, 1);
        logged.add("nan", f64::NAN, 2);
        logged.set("epoch", 8.0);
        let json = serde_json::to_string(&logged).unwrap();
        assert_eq!(serde_json::from_str::<LoggedValues>(&json).unwrap(), logged);
        let mut scores = Scores::new();
        logged.write_to(&mut scores);
        assert_eq!(scores.names().collect::<Vec<_>>(), ["mean", "epoch", "nan"]);
        assert_eq!([scores.value("mean"), scores.value("epoch")], [Some(1.25), Some(8.0)]);
        assert!(scores.get("nan").is_some_and(|score| !score.is_defined()));
    }
}
