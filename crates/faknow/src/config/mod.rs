//! The config of a run: every setting, with its default.

mod check;
mod data;
pub(crate) mod decision;
mod faknow_yaml;
mod fold;
pub(crate) mod settings;
mod trainer;

use std::path::{Path, PathBuf};

use faknow_callbacks::FreezeRule;
use faknow_data::text::TokenStorage;
use faknow_data::text::{TokenizerConfig, TokenizerKind};
use faknow_model::Criterion;
use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{Attack, CheckpointPolicy, OptimizerConfig, WeightAveraging};
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::{Error, Result};

pub use data::{DataConfig, Weighting};
pub use decision::{DecisionConfig, Threshold, ThresholdRule};
pub use fold::Fold;
pub use trainer::{EarlyStoppingConfig, TrainerConfig};

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
    /// Which model, and its hyper-parameters.
    pub model: ModelConfig,
    /// What training minimises in place of the model's own loss. Default: the model's own; validation always measures
    /// that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Criterion>,
    /// Adversarial training: an attack on parameters, on the word vectors for example. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adversarial: Option<Attack>,
    /// Which optimizer, and its hyper-parameters.
    pub optimizer: OptimizerConfig,
    /// The learning-rate schedule. Default: the rate stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
    /// How long, and by what, the model is trained and judged.
    pub trainer: TrainerConfig,
    /// When to stop before the last epoch.
    pub early_stopping: EarlyStoppingConfig,
    /// How scores become judgements.
    pub decision: DecisionConfig,
    /// An average of the weights to validate, keep and end with. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<WeightAveraging>,
    /// Which checkpoints are written and kept.
    pub checkpoint: CheckpointPolicy,
    /// Weights that are not trained, for a while or at all. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<FreezeRule>,
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
        }
    }
}

/// How texts become tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// `en` (Unicode words) or `zh` (jieba). Default `en`.
    pub language: String,
    /// Another tokenizer than the language's: `words`, `jieba`, `characters`, `alphanumeric`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerKind>,
    /// Whether words are lower-cased. Default true.
    pub lowercase: bool,
    /// Whether punctuation, symbols and emoji are tokens too. Default false.
    pub punctuation: bool,
    /// Whether web addresses become one token `<url>`. Default true.
    pub normalize_urls: bool,
    /// Whether @names become one token `<user>`. Default false.
    pub normalize_mentions: bool,
    /// File of words to leave out, one a line. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_words: Option<PathBuf>,
    /// Tokens after which a text is cut, at least 1. Default 255, FaKnow's.
    pub max_length: usize,
    /// Occurrences in the training texts from which a word has a number of its own. Default 1.
    pub min_count: u64,
    /// Largest size of the vocabulary, padding and unknown word included; 0 for no limit. Default 0.
    pub max_vocab: usize,
    /// File of pretrained word vectors, word2vec or GloVe as text. Default: random vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
    /// Most MiB of memory that the tokens of a data set take, 4 bytes a token; if there are more, they go to a file, in `cache` or
    /// the system's folder for temporary files, and batches are read from there. Default 1024.
    pub memory: u64,
    /// Folder in which the tokens are kept, to be found again by the next run on the same texts with the same settings. Default:
    /// none, texts are read and cut by each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            language: "en".into(),
            tokenizer: None,
            lowercase: true,
            punctuation: false,
            normalize_urls: true,
            normalize_mentions: false,
            stop_words: None,
            max_length: 255,
            min_count: 1,
            max_vocab: 0,
            vectors: None,
            memory: 1024,
            cache: None,
        }
    }
}

impl TextConfig {
    /// Where the tokens of the data sets lie.
    pub(crate) fn storage(&self) -> TokenStorage {
        TokenStorage { max_bytes: Some(self.memory.saturating_mul(1 << 20)), folder: self.cache.clone() }
    }

    /// The tokenizer's own settings, with the stop words read.
    ///
    /// # Errors
    /// The language is unknown, or the stop words cannot be read.
    pub fn tokenizer_config(&self) -> Result<TokenizerConfig> {
        let mut config =
            TokenizerConfig::for_language(&self.language).map_err(|e| Error::setting("text.language", e))?;
        if let Some(kind) = self.tokenizer {
            config.kind = kind;
        }
        config.lowercase = self.lowercase;
        config.punctuation = self.punctuation;
        config.normalize_urls = self.normalize_urls;
        config.normalize_mentions = self.normalize_mentions;
        config.max_length = Some(self.max_length);
        if let Some(path) = &self.stop_words {
            let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
            config.stop_words =
                text.lines().map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect();
        }
        Ok(config)
    }
}

/// How samples become batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Samples of a training batch, at least 1. Default 50, FaKnow's for TextCNN.
    pub batch_size: usize,
    /// Samples of a batch in validation, test and prediction, at least 1; no result depends on it. Default 256.
    pub eval_batch_size: usize,
    /// Batches in a pool whose samples are sorted by length, which saves padding; 0 for none. Default 50.
    pub buckets: usize,
    /// Whether a last training batch that is not full is left out. Default false.
    pub drop_last: bool,
    /// Whether all classes are drawn equally often, with replacement. Default false.
    pub balanced: bool,
    /// Threads that assemble batches ahead of need; 0 for none. Changes no batch and no order. Default 1.
    pub workers: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 50,
            eval_batch_size: 256,
            buckets: 50,
            drop_last: false,
            balanced: false,
            workers: 1,
        }
    }
}

/// Which model, and its hyper-parameters beside the name: those of the model's own config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// Name of the model, see `faknow models`. Default `textcnn`.
    pub name: String,
    /// File of weights to begin with, of PyTorch (`.pt`, `.pth`) or of safetensors: those whose names and shapes fit are
    /// taken, also in place of `text.vectors`. Word vectors belong to a vocabulary, whose order the file does not know.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// The model's own hyper-parameters, checked by the model.
    #[serde(flatten)]
    pub hyperparameters: toml::Table,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: "textcnn".into(), weights: None, hyperparameters: toml::Table::new() }
    }
}

impl Config {
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
        self.data
            .train
            .as_deref()
            .ok_or_else(|| Error::config("data.train", "no training file; give one with `--train FILE`"))
    }
}
