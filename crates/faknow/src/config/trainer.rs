//! The tables `[trainer]` and `[early_stopping]` of a config.

use faknow_callbacks::Interval;
use faknow_trainer::NonFinitePolicy;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of the training, gradient clipping, validation, metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainerConfig {
    /// Maximum number of epochs, at least 1. Default 20.
    pub epochs: usize,
    /// Maximum number of steps (updates of the weights). Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Maximum duration, as in `2 hours`; the current batch is completed. A schedule is laid out for the estimated length.
    /// Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time: Option<Interval>,
    /// Number of batches whose gradients are accumulated for one update, at least 1. Default 1.
    pub accumulate: usize,
    /// Maximum global norm of the gradients, above 0. Default: no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Maximum absolute value of a gradient, above 0. Default: no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
    /// Action on NaN or infinite losses or gradients: `stop`, `skip` the update, or `roll_back` to the last checkpoint and
    /// continue with half the learning rate. Default `stop`.
    pub on_non_finite: NonFinitePolicy,
    /// Interval of validation, within an epoch (`100 steps`, `0.25 epochs`) or after several epochs (`2 epochs`). Default:
    /// after each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_every: Option<Interval>,
    /// Number of validation batches to check before the first epoch, so that errors occur early. Default 2.
    pub sanity_batches: usize,
    /// Validation value that determines the best epoch: `loss` or any metric. Default `accuracy`.
    pub monitor: String,
    /// Whether the detector has the weights of the best epoch rather than of the last one. Default true.
    pub restore_best: bool,
    /// Metrics of validation and test on the console, in `metrics.csv` and in TensorBoard: a list, or `all`. Monitored values
    /// are always included. Default: the twelve metrics of [`Metrics::common`](faknow_metrics::Metrics::common).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricSelection>,
    /// Metrics of the training pass, from the outputs of the training steps; only metrics of predicted classes. Default
    /// `["accuracy"]`.
    pub train_metrics: Vec<String>,
    /// Maximum number of batches of each pass over training, validation and test data, at least 1. Default: all batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_batches: Option<usize>,
    /// Number of batches to train and validate on in every epoch: a model that can learn at all memorizes them. Default: all
    /// batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overfit_batches: Option<usize>,
    /// Interval in epochs of TensorBoard histograms of weights and gradients, at least 1. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histograms_every: Option<usize>,
    /// Whether to run one epoch with one batch each of training, validation and test, as a quick check. Default false.
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

/// A selection of metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricSelection {
    /// All built-in metrics.
    All,
    /// Metrics by name.
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
        enum Raw {
            Word(String),
            Names(Vec<String>),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Names(names) => Ok(Self::Names(names)),
            Raw::Word(word) if word == "all" => Ok(Self::All),
            Raw::Word(word) => {
                Err(serde::de::Error::custom(format!("expected `all` or a list of metrics, got `{word}`")))
            }
        }
    }
}

/// Early stopping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// Whether to stop early; has no effect without validation records. Default true.
    pub enabled: bool,
    /// Number of consecutive validations without an improvement before stopping, at least 1. Default 5.
    pub patience: usize,
    /// Difference that an improvement must exceed, at least 0; does not affect the choice of the best epoch. Default 0.
    pub min_delta: f64,
    /// Stops as soon as the monitored value is at least as good. Default: no threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping_threshold: Option<f64>,
    /// Stops as soon as the monitored value is worse. Default: no threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence_threshold: Option<f64>,
    /// First epoch whose validations count, at least 1. Default 1.
    pub start_from_epoch: usize,
    /// Monitored value. Default: `trainer.monitor`.
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
