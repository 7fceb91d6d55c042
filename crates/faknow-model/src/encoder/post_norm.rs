//! The layers of BERT, RoBERTa, DistilBERT and DeBERTa: attention and feed-forward layers, each with a residual connection followed by a
//! layer normalization.

use tch::Tensor;

use super::activation::HiddenActivation;
use super::config::{Architecture, EncoderConfig};
use super::layer_norm::LayerNorm;
use super::lora::LoraTarget;
use super::params::Params;
use super::projection::{LinearKind, Projection};
use crate::layers::dropout;
use crate::{Mode, Result};

/// One layer. Hidden states are rows `[n_rows, hidden_size]`.
#[derive(Debug)]
pub(super) struct PostNormLayer {
    pub query: Projection,
    pub key: Projection,
    pub value: Projection,
    attention_output: Projection,
    attention_norm: LayerNorm,
    intermediate: Projection,
    output: Projection,
    output_norm: LayerNorm,
    activation: HiddenActivation,
    dropout: f64,
}

/// Names of the parts of a layer.
struct Names {
    query: &'static str,
    key: &'static str,
    value: &'static str,
    attention_output: &'static str,
    attention_norm: &'static str,
    intermediate: &'static str,
    output: &'static str,
    output_norm: &'static str,
}

const BERT: Names = Names {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    output_norm: "output.LayerNorm",
};

const DEBERTA: Names = Names {
    query: "attention.self.query_proj",
    key: "attention.self.key_proj",
    value: "attention.self.value_proj",
    ..BERT
};

const DISTILBERT: Names = Names {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    intermediate: "ffn.lin1",
    output: "ffn.lin2",
    output_norm: "output_layer_norm",
};

impl PostNormLayer {
    pub(super) fn new(params: &Params<'_, '_>, config: &EncoderConfig) -> Result<Self> {
        let names = match config.architecture {
            Architecture::DistilBert => DISTILBERT,
            Architecture::DebertaV2(_) => DEBERTA,
            _ => BERT,
        };
        let (size, inner) = (config.hidden_size, config.intermediate_size);
        let linear = |name: &str, sizes, target| {
            let std = config.initializer_range;
            Projection::new(
                &params.sub(name),
                LinearKind { sizes, std, has_bias: true, target: Some(target) },
            )
        };
        let norm = |name: &str| LayerNorm::new(&params.sub(name), size, config.layer_norm_eps, true);
        Ok(Self {
            query: linear(names.query, [size, size], LoraTarget::Query)?,
            key: linear(names.key, [size, size], LoraTarget::Key)?,
            value: linear(names.value, [size, size], LoraTarget::Value)?,
            attention_output: linear(names.attention_output, [size, size], LoraTarget::AttentionOutput)?,
            attention_norm: norm(names.attention_norm)?,
            intermediate: linear(names.intermediate, [size, inner], LoraTarget::Intermediate)?,
            output: linear(names.output, [inner, size], LoraTarget::Output)?,
            output_norm: norm(names.output_norm)?,
            activation: config.activation,
            dropout: config.dropout,
        })
    }

    /// Computes the next hidden states; `attend` computes the attention from queries, keys and values.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        mode: Mode,
        attend: impl Fn([&Tensor; 3]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let qkv = Projection::forward_all(&[&self.query, &self.key, &self.value], x, mode)?;
        let attention = self.attention_output.forward(&attend([&qkv[0], &qkv[1], &qkv[2]])?, mode)?;
        let x = self.attention_norm.forward(&dropout(&attention, self.dropout, mode)?.f_add(x)?)?;
        let inner = self.activation.apply(&self.intermediate.factored(&x, mode)?)?;
        let output = self.output.forward(&inner, mode)?;
        self.output_norm.forward(&dropout(&output, self.dropout, mode)?.f_add(&x)?)
    }
}
