//! The config of a run: every setting, with its default.

mod check;
mod data;
pub(crate) mod decision;
pub(crate) mod dotted;
mod faknow_yaml;
mod fold;
mod loader;
pub(crate) mod messages;
mod model;
pub(crate) mod settings;
mod text;
mod trainer;

use std::path::Path;

use faknow_callbacks::FreezeRule;
use faknow_model::Criterion;
use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{Attack, CheckpointPolicy, OptimizerConfig, WeightAveraging};
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::models::{ConfiguredModel, Registry};
use crate::{Error, Result};

pub use data::{DataConfig, Weighting};
pub use decision::{DecisionConfig, Threshold, ThresholdRule};
pub use fold::Fold;
pub use loader::LoaderConfig;
pub use model::ModelConfig;
pub use text::TextConfig;
pub use trainer::{EarlyStoppingConfig, MetricSelection, TrainerConfig};

/// Every setting of a run; a file in TOML with these tables and keys, all of which may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random: splits, order of batches, initial weights, dropout. Default 0.
    pub seed: u64,
    /// `auto` (a CUDA device if there is one), `cpu`, `cuda`, `cuda:1`. Default `auto`.
    pub device: String,
    /// Threads that libtorch computes with; 0 for its own choice, the number of cores. Default 0.
    pub threads: usize,
    /// Which records, and what their fields mean.
    pub data: DataConfig,
    /// How texts become tokens.
    pub text: TextConfig,
    /// How samples become batches.
    pub loader: LoaderConfig,
    /// Which model, and its hyperparameters.
    pub model: ModelConfig,
    /// What training minimizes in place of the model's own loss. Default: the model's own; validation always measures
    /// that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Criterion>,
    /// Adversarial training: an attack on parameters, on the word vectors for example. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adversarial: Option<Attack>,
    /// Which optimizer, and its hyperparameters.
    pub optimizer: OptimizerConfig,
    /// The learning-rate schedule. Default: the rate stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
    /// How long, and by what, the model is trained and evaluated.
    pub trainer: TrainerConfig,
    /// When to stop before the last epoch.
    pub early_stopping: EarlyStoppingConfig,
    /// How scores become predictions.
    pub decision: DecisionConfig,
    /// An average of the weights to validate, keep and end with. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<WeightAveraging>,
    /// Which checkpoints are written and retained.
    pub checkpoint: CheckpointPolicy,
    /// Weights that are not trained, for a while or at all. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeRule>,
    /// The models that `model.name` can name; no part of a file. Default: [`Registry::builtin`].
    #[serde(skip)]
    pub registry: Registry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            device: "auto".into(),
            threads: 0,
            data: DataConfig::default(),
            text: TextConfig::default(),
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
        }
    }
}

impl Config {
    /// The model with its hyperparameters, which are checked for their types.
    ///
    /// # Errors
    /// The registry has no such model, or it has no such hyperparameter.
    pub(crate) fn configured_model(&self) -> Result<Box<dyn ConfiguredModel>> {
        self.registry.configure(&self.model.name, &self.model.hyperparameters)
    }

    /// The device that `device` names.
    ///
    /// # Errors
    /// The name is unknown, or there is no such device.
    pub fn device(&self) -> Result<Device> {
        let wrong = |message: &str| Err(Error::config("device", format!("{message}, got `{}`", self.device)));
        let device = match self.device.as_str() {
            "auto" => Device::cuda_if_available(),
            "cpu" => Device::Cpu,
            "cuda" => Device::Cuda(0),
            other => match other.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
                Some(n) => Device::Cuda(n),
                None => return wrong("expected auto, cpu, cuda or cuda:N"),
            },
        };
        match device {
            Device::Cuda(_) if !tch::Cuda::is_available() => wrong(
                "libtorch finds no CUDA device (`cargo xtask setup --cuda` sets up a libtorch that can)",
            ),
            Device::Cuda(n) if n as i64 >= tch::Cuda::device_count() => {
                wrong(&format!("there are {} CUDA devices", tch::Cuda::device_count()))
            }
            device => Ok(device),
        }
    }

    /// Where the training records come from, to say it in errors.
    ///
    /// # Errors
    /// Nothing is named.
    pub(crate) fn training_source(&self) -> Result<&Path> {
        let trees = self.data.train_ids.as_deref().or(self.data.trees.as_deref());
        trees.or(self.data.upfd.as_deref()).map_or_else(|| self.train_file(), Ok)
    }

    /// The training file, which every run on records needs.
    ///
    /// # Errors
    /// There is none.
    pub fn train_file(&self) -> Result<&Path> {
        self.data.train.as_deref().ok_or_else(|| Error::config("data.train", "no training file"))
    }
}
