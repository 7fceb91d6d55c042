//! A pretrained encoder: configuration and weights.

use std::path::{Path, PathBuf};

use tch::nn;

use super::config::EncoderConfig;
use super::network::Encoder;
use super::params::Tensors;
use super::precision::Precision;
use super::weights::read_weights;
use crate::Result;

/// The configuration and the weights of an encoder, from which models build theirs.
#[derive(Debug)]
pub struct PretrainedEncoder {
    config: EncoderConfig,
    weights: Option<Tensors>,
    origin: PathBuf,
}

impl PretrainedEncoder {
    /// Reads the directory of a Hugging Face model: `config.json` and the weights.
    ///
    /// # Errors
    /// A file is missing or cannot be read, or the architecture is not supported.
    pub fn open(dir: &Path) -> Result<Self> {
        let (mut config, weights) = (EncoderConfig::read(dir)?, read_weights(dir)?);
        // Models that were pretrained without a pooler are saved without one.
        config.pooler &= weights.contains_key("pooler.dense.weight");
        Ok(Self { config, weights: Some(weights), origin: dir.to_path_buf() })
    }

    /// Creates an encoder from weights by the names of [`Encoder::parameters`]; `origin` is their file or directory in errors.
    pub fn new(config: EncoderConfig, weights: Tensors, origin: PathBuf) -> Self {
        Self { config, weights: Some(weights), origin }
    }

    /// Creates an encoder with random weights, for those that are trained from scratch or restored later.
    pub fn random(config: EncoderConfig) -> Self {
        Self { config, weights: None, origin: PathBuf::new() }
    }

    /// Returns the sizes and settings.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Builds the encoder at `path`, with a copy of the weights.
    ///
    /// # Errors
    /// Weights are missing or have the wrong shape.
    pub fn build(&self, path: &nn::Path<'_>) -> Result<Encoder> {
        self.build_with(path, self.config.precision)
    }

    /// Builds the encoder at `path`, with a copy of the weights and this precision of products.
    ///
    /// # Errors
    /// Weights are missing or have the wrong shape.
    pub fn build_with(&self, path: &nn::Path<'_>, precision: Precision) -> Result<Encoder> {
        let config = EncoderConfig { precision, ..self.config.clone() };
        match &self.weights {
            Some(weights) => Encoder::from_tensors(path, &config, weights, &self.origin),
            None => Encoder::new(path, &config),
        }
    }
}
