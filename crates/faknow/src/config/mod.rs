//! The config of a run: all settings with their defaults.

mod check;
mod data;
pub(crate) mod decision;
pub(crate) mod dotted;
mod faknow_yaml;
mod feature_columns;
mod files;
mod fold;
mod given;
mod image;
mod loader;
pub(crate) mod messages;
mod model;
mod names;
mod no_gradients;
pub(crate) mod settings;
pub(crate) mod similar_key;
mod text;
mod trainer;

use std::path::Path;

use faknow_callbacks::FreezeRule;
use faknow_model::Criterion;
use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{Attack, CheckpointPolicy, OptimizerConfig, WeightAveraging};
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::config::names::similar_name;
use crate::models::{ConfiguredModel, Registry};
use crate::{Error, Result};

pub use data::{DataConfig, Weighting};
pub use decision::{DecisionConfig, Threshold, ThresholdRule};
pub use feature_columns::FeatureColumns;
pub use files::{DataFile, DataFiles};
pub use fold::Fold;
pub use given::Given;
pub use image::ImageConfig;
pub use loader::LoaderConfig;
pub use model::ModelConfig;
pub use text::TextConfig;
pub use trainer::{EarlyStoppingConfig, MetricSelection, TrainerConfig};

/// All settings of a run. A config file is TOML with these tables and keys, all of which are optional.
///
/// Settings that are not given have the defaults of the model's authors, which may depend on its hyperparameters and on the
/// encoder of texts. [`Config::with`] chooses them again: it keeps what was given, by a file or a former `with`, and what was
/// changed by an assignment to a field. The assignment itself changes only its field, and a value that equals the default
/// does not count as given.
///
/// ```
/// use faknow::Config;
///
/// let config = Config::for_model("encoder")?.set_all(&["text.encoder=minilm", "trainer.epochs=4"])?;
/// let frozen = config.set("model.tuning=frozen")?;
/// assert_eq!((frozen.trainer.epochs, frozen.optimizer.lr()), (4, 0.001));
/// # Ok::<(), faknow::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed of all random numbers: splits, order of batches, initial weights, dropout. Default 0.
    pub seed: u64,
    /// `auto` (a CUDA device if there is one), `cpu`, `cuda`, `cuda:1`. Default `auto`.
    pub device: String,
    /// Number of threads of libtorch; 0 for one per core. Default 0.
    pub threads: usize,
    /// Whether the model `linear` is trained too after the test, to compare the detector with it. Default: if the model reads the
    /// texts of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<bool>,
    /// Data files and the meaning of their fields.
    pub data: DataConfig,
    /// Tokenization of texts.
    pub text: TextConfig,
    /// Reading of images, and their encoder.
    pub image: ImageConfig,
    /// Batching of samples.
    pub loader: LoaderConfig,
    /// The model and its hyperparameters.
    pub model: ModelConfig,
    /// Training criterion that replaces the model's own loss. Default: the model's own loss, which validation always uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Criterion>,
    /// Adversarial training: an attack on parameters, for example on the word vectors. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adversarial: Option<Attack>,
    /// The optimizer and its hyperparameters.
    pub optimizer: OptimizerConfig,
    /// The learning-rate schedule. Default: a constant learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
    /// Length of the training, gradient clipping, validation, metrics.
    pub trainer: TrainerConfig,
    /// Early stopping.
    pub early_stopping: EarlyStoppingConfig,
    /// Calibration of scores and decision threshold.
    pub decision: DecisionConfig,
    /// Averaging of weights; the averaged weights are validated, saved and used by the detector. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<WeightAveraging>,
    /// The checkpoints to write and retain.
    pub checkpoint: CheckpointPolicy,
    /// Weights to freeze, temporarily or for the entire training. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeRule>,
    /// The available models for `model.name`; not part of a config file. Default: [`Registry::builtin`].
    #[serde(skip)]
    pub registry: Registry,
    /// The settings that were given explicitly; not part of a config file.
    #[serde(skip)]
    pub given: Given,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            device: "auto".into(),
            threads: 0,
            baseline: None,
            data: DataConfig::default(),
            text: TextConfig::default(),
            image: ImageConfig::default(),
            loader: LoaderConfig::default(),
            model: ModelConfig::default(),
            loss: None,
            adversarial: None,
            optimizer: OptimizerConfig::default(),
            schedule: None,
            trainer: TrainerConfig::default(),
            early_stopping: EarlyStoppingConfig::default(),
            decision: DecisionConfig::default(),
            average: None,
            checkpoint: CheckpointPolicy::default(),
            freeze: Vec::new(),
            registry: Registry::builtin(),
            given: Given::default(),
        }
    }
}

impl Config {
    /// Returns the model with its hyperparameters, whose types are checked.
    ///
    /// # Errors
    /// The registry has no such model, or a hyperparameter is unknown or of the wrong type.
    pub(crate) fn configured_model(&self) -> Result<Box<dyn ConfiguredModel>> {
        self.registry.configure(&self.model.name, &self.model.hyperparameters)
    }

    /// Returns the device of the setting `device`.
    ///
    /// # Errors
    /// The name is unknown, or the device is not available.
    pub fn device(&self) -> Result<Device> {
        let device_error =
            |message: &str| Err(Error::config("device", format!("{message}, got `{}`", self.device)));
        let device = match self.device.to_lowercase().as_str() {
            "auto" => Device::cuda_if_available(),
            "cpu" => Device::Cpu,
            "cuda" => Device::Cuda(0),
            other => match other.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
                Some(n) => Device::Cuda(n),
                None => {
                    let hint = similar_name(&self.device, &["auto", "cpu", "cuda"]);
                    let message = format!("expected auto, cpu, cuda or cuda:N, got `{}`{hint}", self.device);
                    return Err(Error::config("device", message));
                }
            },
        };
        match device {
            Device::Cuda(_) if !tch::Cuda::is_available() => device_error(
                "libtorch finds no CUDA device (`cargo xtask setup --cuda` sets up a libtorch with CUDA)",
            ),
            Device::Cuda(n) if n as i64 >= tch::Cuda::device_count() => {
                device_error(&format!("expected one of {} CUDA devices", tch::Cuda::device_count()))
            }
            device => Ok(device),
        }
    }

    /// Returns the source of the training data, for errors.
    ///
    /// # Errors
    /// No training data is set.
    pub(crate) fn training_source(&self) -> Result<&Path> {
        let trees = self.data.train_ids.as_deref().or(self.data.trees.as_deref());
        trees
            .or(self.data.upfd.as_deref())
            .or(self.data.fang.as_deref())
            .map_or_else(|| Ok(self.train_files()?.first()), Ok)
    }

    /// Returns the files of training records.
    ///
    /// # Errors
    /// No training file is set.
    pub fn train_files(&self) -> Result<&DataFiles> {
        self.data.train.as_ref().ok_or_else(|| Error::config("data.train", "no training file"))
    }
}
