//! The models that a config can name.

use faknow_data::TextBatch;
use faknow_model::{Model, TextCnn, TextCnnConfig};
use faknow_trainer::with_model_seed;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use tch::nn::{Path, VarStore};
use tch::{Device, Tensor};

use super::ModelConfig;
use super::settings::in_plain_words;
use crate::{Error, Result};

/// A model over texts, whichever.
pub type TextModel = Box<dyn Model<Batch = TextBatch>>;

/// What `faknow models` says of a model.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ModelInfo {
    /// Its name in configs.
    pub name: &'static str,
    /// What it is, in a line.
    pub title: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// What it reads.
    pub reads: &'static str,
    /// Its hyper-parameters and their defaults.
    pub hyperparameters: toml::Table,
}

/// All models that a config can name.
pub fn models() -> Vec<ModelInfo> {
    vec![ModelInfo {
        name: "textcnn",
        title: "convolutions over word vectors, maximum over time, linear layer",
        source: "Kim, Convolutional Neural Networks for Sentence Classification, EMNLP 2014",
        reads: "text",
        hyperparameters: toml::Table::try_from(TextCnnConfig::default()).unwrap_or_default(),
    }]
}

/// The model of this name.
///
/// # Errors
/// There is none; the known ones are named.
pub fn model_info(name: &str) -> Result<ModelInfo> {
    models().into_iter().find(|m| m.name == name).ok_or_else(|| {
        let known: Vec<&str> = models().iter().map(|m| m.name).collect();
        Error::config("model.name", format!("unknown model `{name}`; known: {}", known.join(", ")))
    })
}

/// What a text model's size depends on beside its config.
pub(super) struct TextSizes<'a> {
    pub(super) vocab_size: usize,
    pub(super) n_classes: usize,
    /// Pretrained word vectors `[vocab_size, size]`.
    pub(super) vectors: Option<&'a Tensor>,
}

/// A text model's own needs and how to build it, known before any data is.
#[derive(Debug)]
pub(super) enum TextModelConfig {
    TextCnn(TextCnnConfig),
}

impl TextModelConfig {
    /// Reads the model's own hyper-parameters; unknown ones are refused by name.
    pub(super) fn new(config: &ModelConfig) -> Result<Self> {
        let info = model_info(&config.name)?;
        match info.name {
            "textcnn" => Ok(Self::TextCnn(hyperparameters(config)?)),
            other => Err(Error::config("model.name", format!("`{other}` does not read texts"))),
        }
    }

    /// Checks all hyper-parameters, by building the smallest model that they allow.
    pub(super) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = TextSizes { vocab_size: 2, n_classes, vectors: None };
        // With a seed, though any will do, so that the noise of runs in other threads is left alone.
        with_model_seed(0, || self.build(&VarStore::new(Device::Cpu).root(), &sizes).map(drop))
    }

    /// Padding columns that the model wants behind the longest text of a batch.
    pub(super) fn margin(&self) -> usize {
        match self {
            Self::TextCnn(config) => config.margin(),
        }
    }

    /// Takes over the size of pretrained vectors, so that a saved config builds the same model.
    pub(super) fn set_embedding_size(&mut self, size: i64) {
        match self {
            Self::TextCnn(config) => config.embedding_size = size,
        }
    }

    /// Every hyper-parameter, defaults included.
    pub(super) fn to_table(&self) -> toml::Table {
        match self {
            Self::TextCnn(config) => toml::Table::try_from(config).unwrap_or_default(),
        }
    }

    pub(super) fn build(&self, path: &Path<'_>, sizes: &TextSizes<'_>) -> Result<TextModel> {
        let model = match self {
            Self::TextCnn(config) => match sizes.vectors {
                Some(vectors) => TextCnn::with_vectors(path, config, vectors, sizes.n_classes),
                None => TextCnn::new(path, config, sizes.vocab_size, sizes.n_classes),
            },
        };
        Ok(Box::new(model.map_err(|error| Error::in_table("model", error))?))
    }
}

fn hyperparameters<'de, T: Deserialize<'de>>(config: &ModelConfig) -> Result<T> {
    let table = toml::Value::Table(config.hyperparameters.clone());
    serde_path_to_error::deserialize(table.into_deserializer()).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { "model".to_owned() } else { format!("model.{path}") };
        Error::config(key, in_plain_words(error.into_inner().message()))
    })
}
