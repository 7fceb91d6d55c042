//! The table `[model]` of a config: which model, and its hyperparameters.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which model, and its hyperparameters besides the name: those of the model's own config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelConfig {
    /// Name of the model, see `faknow models`. Default `textcnn`.
    pub name: String,
    /// File of weights to start with, of PyTorch (`.pt`, `.pth`) or of safetensors: those whose names and shapes fit are
    /// taken, also in place of `text.vectors`. Word vectors belong to a vocabulary, whose order the file does not know.
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// The model's own hyperparameters, checked by the model.
    #[serde(flatten)]
    pub hyperparameters: toml::Table,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: "textcnn".into(), weights: None, hyperparameters: toml::Table::new() }
    }
}
