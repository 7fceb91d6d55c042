//! The config's tables of training: how long, evaluated by what, when to stop.

use faknow_callbacks::Interval;
use faknow_trainer::NonFinitePolicy;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How long, and by what, the model is trained and evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainerConfig {
    /// Epochs at most, at least 1. Default 20.
    pub epochs: usize,
    /// Updates of the weights at most. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Time at most, as in `2 hours`; the present batch is finished. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time: Option<Interval>,
    /// Batches whose gradients together make one update, at least 1. Default 1.
    pub accumulate: usize,
    /// Largest global norm of the gradients, above 0. Default: no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Largest absolute value of a gradient, above 0. Default: no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
    /// What happens if a loss or gradients are NaN or infinite: `stop`, `skip` the update, `roll_back` to the last
    /// checkpoint and continue at half the learning rate. Default `stop`.
    pub on_non_finite: NonFinitePolicy,
    /// How often to validate: inside an epoch (`100 steps`, `0.25 epochs`) or after every n epochs (`2 epochs`).
    /// Default: after each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_every: Option<Interval>,
    /// Validation batches that are tried before the first epoch, so that errors show at once. Default 2.
    pub sanity_batches: usize,
    /// Validation value that chooses the best epoch: `loss` or any metric. Default `accuracy`.
    pub monitor: String,
    /// Whether the detector is that of the best epoch, rather than of the last. Default true.
    pub restore_best: bool,
    /// Metrics of validation and test, which the console, `metrics.csv` and TensorBoard show: a list, or `all`. What is
    /// monitored is always among them. Default: the twelve of [`Metrics::common`](faknow_metrics::Metrics::common).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricSelection>,
    /// Metrics of the training pass, from the outputs of the training steps: those that need only the predicted classes.
    /// Default `["accuracy"]`.
    pub train_metrics: Vec<String>,
    /// Batches at most of each pass over training, validation and test data, at least 1. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_batches: Option<usize>,
    /// Trains on the same few batches in every epoch and validates on them too: a model that can learn anything
    /// learns them by heart. Default: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overfit_batches: Option<usize>,
    /// Epochs after which histograms of weights and gradients are written for TensorBoard, at least 1. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histograms_every: Option<usize>,
    /// One epoch of one batch, validated and tested on one: does everything once, to see that it works. Default
    /// false.
    pub fast_dev_run: bool,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            max_steps: None,
            max_time: None,
            accumulate: 1,
            clip_norm: None,
            clip_value: None,
            on_non_finite: NonFinitePolicy::Stop,
            validate_every: None,
            sanity_batches: 2,
            monitor: "accuracy".into(),
            restore_best: true,
            metrics: None,
            train_metrics: vec!["accuracy".into()],
            limit_batches: None,
            overfit_batches: None,
            histograms_every: None,
            fast_dev_run: false,
        }
    }
}

/// A selection of metrics: all of them, or some by name.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricSelection {
    /// All built-in metrics.
    All,
    /// These, by name.
    Names(Vec<String>),
}

impl Serialize for MetricSelection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => "all".serialize(serializer),
            Self::Names(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MetricSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected `all` or a list of metrics")]
        enum Written {
            Word(String),
            Names(Vec<String>),
        }
        match Written::deserialize(deserializer)? {
            Written::Names(names) => Ok(Self::Names(names)),
            Written::Word(word) if word == "all" => Ok(Self::All),
            Written::Word(word) => {
                Err(serde::de::Error::custom(format!("expected `all` or a list of metrics, got `{word}`")))
            }
        }
    }
}

/// When to stop before the last epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// Whether to stop early at all; without validation records nothing stops early. Default true.
    pub enabled: bool,
    /// Validations in a row without an improvement after which to stop, at least 1. Default 5.
    pub patience: usize,
    /// How much better a value must be to count as an improvement, at least 0; the best epoch is chosen without
    /// regard to it. Default 0.
    pub min_delta: f64,
    /// Stops as soon as the value is as good as this, or better. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping_threshold: Option<f64>,
    /// Stops as soon as the value is worse than this. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence_threshold: Option<f64>,
    /// The first epoch whose validations are looked at, at least 1. Default 1.
    pub start_from_epoch: usize,
    /// Another value than `trainer.monitor` to watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<String>,
}

impl Default for EarlyStoppingConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            patience: 5,
            min_delta: 0.0,
            stopping_threshold: None,
            divergence_threshold: None,
            start_from_epoch: 1,
            monitor: None,
        }
    }
}
