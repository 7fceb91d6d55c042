//! Low-rank adapters: Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, ICLR 2022.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Init, Path};

use super::config::EncoderConfig;
use crate::layers::{dropout, kaiming_uniform};
use crate::{Mode, Result};

/// Settings of low-rank adapters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of the adapters, at least 1. Default 8.
    pub rank: i64,
    /// Scale of the adapters, divided by the rank; above 0. Default 16.
    pub alpha: f64,
    /// Dropout probability of the input of the adapters, from 0 to below 1. Default 0.05.
    pub dropout: f64,
    /// The linear layers with adapters, at least one. Default: queries and values, as in the paper.
    pub targets: Vec<LoraTarget>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, dropout: 0.05, targets: vec![LoraTarget::Query, LoraTarget::Value] }
    }
}

/// A linear layer of each layer of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoraTarget {
    /// The queries of the attention.
    Query,
    /// The keys of the attention.
    Key,
    /// The values of the attention.
    Value,
    /// The output of the attention.
    AttentionOutput,
    /// The first feed-forward layer.
    Intermediate,
    /// The second feed-forward layer.
    Output,
}

impl LoraConfig {
    /// Checks that all settings are within their ranges.
    pub(crate) fn check(&self) -> Result<()> {
        if self.rank < 1 {
            return Err(EncoderConfig::invalid("lora_rank", "at least 1", self.rank));
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return Err(EncoderConfig::invalid("lora_alpha", "above 0", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(EncoderConfig::invalid("lora_dropout", "from 0 to below 1", self.dropout));
        }
        if self.targets.is_empty() {
            return Err(EncoderConfig::invalid("lora_targets", "at least one linear layer", "none"));
        }
        Ok(())
    }
}

/// Adapters while an encoder is built: where their weights are created.
pub(super) struct Adapters<'a, 'v> {
    pub path: &'a Path<'v>,
    pub config: &'a LoraConfig,
}

/// The adapter of a linear layer: adds `alpha / rank` B A x to its output. `lora_A` `[rank, n_in]` is initialized like a linear
/// layer, `lora_B` `[n_out, rank]` with 0.
#[derive(Debug)]
pub(super) struct Adapter {
    a: Tensor,
    b: Tensor,
    scale: f64,
    dropout: f64,
}

impl Adapter {
    pub(super) fn new(path: &Path<'_>, config: &LoraConfig, [n_in, n_out]: [i64; 2]) -> Result<Self> {
        Ok(Self {
            a: kaiming_uniform(path, "lora_A", &[config.rank, n_in])?,
            b: path.f_var("lora_B", &[n_out, config.rank], Init::Const(0.0))?,
            scale: config.alpha / config.rank as f64,
            dropout: config.dropout,
        })
    }

    /// Returns a handle to the same weights.
    pub(super) fn shallow_clone(&self) -> Self {
        Self { a: self.a.shallow_clone(), b: self.b.shallow_clone(), ..*self }
    }

    /// Adds the output of the adapter for `x` `[.., n_in]` to the output of the layer, `[.., n_out]`.
    pub(super) fn add(&self, output: &Tensor, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let inner = dropout(x, self.dropout, mode)?.f_matmul(&self.a.f_transpose(0, 1)?)?;
        Ok(inner.f_mul_scalar(self.scale)?.f_matmul(&self.b.f_transpose(0, 1)?)?.f_add(output)?)
    }

    /// Adds the adapter to the weight of the layer, `[n_out, n_in]`.
    pub(super) fn merge(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(self.b.f_matmul(&self.a)?.f_mul_scalar(self.scale)?.f_add(weight)?)
    }
}
