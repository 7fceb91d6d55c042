//! ModernBERT: rotary positions, local attention in most layers, gated feed-forward layers.
//!
//! Warner et al., *Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder for Fast, Memory Efficient, and Long Context
//! Finetuning and Inference*, 2024.

use serde::{Deserialize, Serialize};
use tch::nn::Init;
use tch::{Device, Kind, Tensor};

use super::activation::HiddenActivation;
use super::attention::{Attention, MASKED};
use super::config::EncoderConfig;
use super::layer_norm::LayerNorm;
use super::layout::Layout;
use super::lora::LoraTarget;
use super::network::{Network, Observer};
use super::params::Params;
use super::projection::{LinearKind, Projection};
use crate::layers::{Embedding, dropout};
use crate::{Mode, Result};

/// Settings of ModernBERT that other architectures do not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModernBertConfig {
    /// Every layer whose index is a multiple of this attends to all tokens, at least 1.
    pub global_every: i64,
    /// Number of neighbors, of both sides together, that the other layers attend to, at least 1.
    pub local_window: i64,
    /// Base of the wavelengths of rotary positions in layers with attention to all tokens, above 0.
    pub global_theta: f64,
    /// Base of the wavelengths of rotary positions in the other layers, above 0.
    pub local_theta: f64,
    /// Whether layer normalizations have biases.
    pub norm_bias: bool,
    /// Whether the projections of the attention have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward layers have biases.
    pub mlp_bias: bool,
    /// Dropout probability of the embeddings.
    pub embedding_dropout: f64,
}

impl ModernBertConfig {
    /// Checks that all settings are within their ranges.
    pub(super) fn check(&self, config: &EncoderConfig) -> Result<()> {
        for (name, n) in
            [("global_attn_every_n_layers", self.global_every), ("local_attention", self.local_window)]
        {
            if n < 1 {
                return Err(EncoderConfig::invalid(name, "at least 1", n));
            }
        }
        for (name, theta) in
            [("global_rope_theta", self.global_theta), ("local_rope_theta", self.local_theta)]
        {
            if !(theta > 0.0 && theta.is_finite()) {
                return Err(EncoderConfig::invalid(name, "above 0", theta));
            }
        }
        if !(0.0..1.0).contains(&self.embedding_dropout) {
            return Err(EncoderConfig::invalid(
                "embedding_dropout",
                "from 0 to below 1",
                self.embedding_dropout,
            ));
        }
        if config.hidden_size / config.n_heads % 2 != 0 {
            let expected = "an even number per attention head";
            return Err(EncoderConfig::invalid("hidden_size", expected, config.hidden_size));
        }
        Ok(())
    }
}

/// Embeddings of words and layers that normalize their inputs.
#[derive(Debug)]
pub(super) struct ModernBert {
    words: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    config: ModernBertConfig,
    n_heads: i64,
    attention_dropout: f64,
}

#[derive(Debug)]
struct Layer {
    /// The first layer has none, since the embeddings are normalized.
    attention_norm: Option<LayerNorm>,
    /// Queries, keys and values.
    attention_input: Projection,
    attention_output: Projection,
    mlp_norm: LayerNorm,
    /// Inputs and gates.
    mlp_input: Projection,
    mlp_output: Projection,
    activation: HiddenActivation,
    dropout: f64,
    attention_dropout: f64,
    is_global: bool,
}

/// Cosines and sines of rotary positions, `[n_rows, 1, size / 2]`.
struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl ModernBert {
    pub(super) fn new(
        params: &Params<'_, '_>,
        config: &EncoderConfig,
        modern: &ModernBertConfig,
    ) -> Result<Self> {
        let norm = |params: Params<'_, '_>| {
            LayerNorm::new(&params, config.hidden_size, config.layer_norm_eps, modern.norm_bias)
        };
        let init = Init::Randn { mean: 0.0, stdev: config.initializer_range };
        let words = params.sub("embeddings.tok_embeddings");
        let layers = params.sub(config.layers_name());
        Ok(Self {
            words: Embedding::from_weight(words.tensor(
                "weight",
                &[config.vocab_size, config.hidden_size],
                init,
            )?),
            norm: norm(params.sub("embeddings.norm"))?,
            layers: (0..config.n_layers)
                .map(|i| Layer::new(&layers.at(i), config, modern, i))
                .collect::<Result<_>>()?,
            final_norm: norm(params.sub("final_norm"))?,
            config: modern.clone(),
            n_heads: config.n_heads,
            attention_dropout: config.attention_dropout,
        })
    }
}

impl Network for ModernBert {
    fn words(&self) -> &Embedding {
        &self.words
    }

    fn run(&self, words: &Tensor, layout: &Layout, mode: Mode, observe: Observer<'_>) -> Result<Tensor> {
        let mut rows = dropout(&self.norm.forward(words)?, self.config.embedding_dropout, mode)?;
        let head_size = rows.size()[1] / self.n_heads;
        let rotation = |theta| Rotation::new(layout, head_size, theta, rows.kind());
        let (global, local) = (rotation(self.config.global_theta)?, rotation(self.config.local_theta)?);
        let windows = self.windows(layout, rows.kind())?;
        let scale = (head_size as f64).powf(-0.5);
        let attention =
            Attention { layout, n_heads: self.n_heads, scale, dropout: self.attention_dropout, mode };
        observe(&rows)?;
        for layer in &self.layers {
            let rotation = if layer.is_global { &global } else { &local };
            rows = layer.forward(&rows, mode, |[queries, keys, values]| {
                let (queries, keys) =
                    (rotation.apply(&queries, self.n_heads)?, rotation.apply(&keys, self.n_heads)?);
                attention.forward([&queries, &keys, &values], |block, _, _| {
                    let window = windows[block].as_ref().filter(|_| !layer.is_global);
                    Ok(window.map(Tensor::shallow_clone))
                })
            })?;
            observe(&rows)?;
        }
        self.final_norm.forward(&rows)
    }
}

impl ModernBert {
    /// Returns what is added to the scores of each block in layers with local attention, `[len, len]`; `None` if all tokens are
    /// within the window.
    fn windows(&self, layout: &Layout, kind: Kind) -> Result<Vec<Option<Tensor>>> {
        let (reach, device) = (self.config.local_window / 2, layout.columns.device());
        let window = |len: i64| -> Result<Option<Tensor>> {
            if len <= reach + 1 {
                return Ok(None);
            }
            let columns = Tensor::f_arange(len, (Kind::Int64, device))?;
            let distances = columns.f_unsqueeze(1)?.f_sub(&columns.f_unsqueeze(0)?)?.f_abs()?;
            let scores = Tensor::f_zeros([len, len], (kind, device))?;
            Ok(Some(scores.f_masked_fill(&distances.f_gt(reach)?, MASKED)?))
        };
        layout.blocks.iter().map(|block| window(block.len)).collect()
    }
}

impl Layer {
    fn new(
        params: &Params<'_, '_>,
        config: &EncoderConfig,
        modern: &ModernBertConfig,
        i: i64,
    ) -> Result<Self> {
        let (size, inner) = (config.hidden_size, config.intermediate_size);
        let norm =
            |name: &str| LayerNorm::new(&params.sub(name), size, config.layer_norm_eps, modern.norm_bias);
        let linear = |name: &str, sizes, has_bias, target| {
            let std = config.initializer_range;
            Projection::new(&params.sub(name), LinearKind { sizes, std, has_bias, target: Some(target) })
        };
        Ok(Self {
            attention_norm: (i > 0).then(|| norm("attn_norm")).transpose()?,
            attention_input: linear("attn.Wqkv", [size, 3 * size], modern.attention_bias, LoraTarget::Query)?,
            attention_output: linear(
                "attn.Wo",
                [size, size],
                modern.attention_bias,
                LoraTarget::AttentionOutput,
            )?,
            mlp_norm: norm("mlp_norm")?,
            mlp_input: linear("mlp.Wi", [size, 2 * inner], modern.mlp_bias, LoraTarget::Intermediate)?,
            mlp_output: linear("mlp.Wo", [inner, size], modern.mlp_bias, LoraTarget::Output)?,
            activation: config.activation,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
            is_global: i % modern.global_every == 0,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        mode: Mode,
        attend: impl Fn([Tensor; 3]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let size = x.size()[1];
        let normalized =
            self.attention_norm.as_ref().map_or_else(|| Ok(x.shallow_clone()), |norm| norm.forward(x))?;
        let qkv = self.attention_input.forward(&normalized, mode)?;
        let part = |i: i64| qkv.f_narrow(1, i * size, size);
        let attention = self.attention_output.forward(&attend([part(0)?, part(1)?, part(2)?])?, mode)?;
        let x = dropout(&attention, self.attention_dropout, mode)?.f_add(x)?;
        let inner = self.mlp_input.forward(&self.mlp_norm.forward(&x)?, mode)?;
        let n = inner.size()[1] / 2;
        let gated = self.activation.apply(&inner.f_narrow(1, 0, n)?)?.f_mul(&inner.f_narrow(1, n, n)?)?;
        Ok(self.mlp_output.forward(&dropout(&gated, self.dropout, mode)?, mode)?.f_add(&x)?)
    }
}

impl Rotation {
    fn new(layout: &Layout, head_size: i64, theta: f64, kind: Kind) -> Result<Self> {
        let options = (kind, Device::Cpu);
        // Angles in the kind of the weights, as in the library transformers.
        let exponents =
            Tensor::f_arange_start_step(0, head_size, 2, options)?.f_div_scalar(head_size as f64)?;
        let frequencies = Tensor::f_full_like(&exponents, theta)?.f_pow(&exponents)?.f_reciprocal()?;
        let positions = Tensor::f_arange(layout.max_len(), options)?;
        let angles = positions.f_outer(&frequencies)?.f_to_device(layout.columns.device())?;
        let rows = |table: Tensor| table.f_index_select(0, &layout.columns)?.f_unsqueeze(1);
        Ok(Self { cos: rows(angles.f_cos()?)?, sin: rows(angles.f_sin()?)? })
    }

    /// Rotates queries or keys `[n_rows, size]` by their positions.
    fn apply(&self, x: &Tensor, n_heads: i64) -> Result<Tensor> {
        let (n_rows, size) = x.size2()?;
        let half = size / n_heads / 2;
        let x = x.f_reshape([n_rows, n_heads, 2 * half])?;
        let (first, second) = (x.f_narrow(2, 0, half)?, x.f_narrow(2, half, half)?);
        let rotated = [
            first.f_mul(&self.cos)?.f_sub(&second.f_mul(&self.sin)?)?,
            second.f_mul(&self.cos)?.f_add(&first.f_mul(&self.sin)?)?,
        ];
        Ok(Tensor::f_cat(&rotated, 2)?.f_view([n_rows, size])?)
    }
}
