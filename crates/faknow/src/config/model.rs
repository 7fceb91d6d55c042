//! The table `[model]` of a config: the model and its hyperparameters.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The model and its hyperparameters, which depend on the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// Name of the model; `faknow models` lists all. Default `textcnn`.
    pub name: String,
    /// File of initial weights, PyTorch (`.pt`, `.pth`) or safetensors. Weights with matching names and shapes are loaded and
    /// take precedence over `text.vectors`. Word vectors must have the order of the vocabulary, which is not checked.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// The hyperparameters of the model.
    #[serde(flatten)]
    pub hyperparameters: toml::Table,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: "textcnn".into(), weights: None, hyperparameters: toml::Table::new() }
    }
}
