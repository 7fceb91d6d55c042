//! Sizes and settings of an encoder.

use serde::{Deserialize, Serialize};

use super::activation::HiddenActivation;
use super::deberta::DebertaConfig;
use super::modernbert::ModernBertConfig;
use super::precision::Precision;
use crate::{Error, Result};

/// Sizes and settings of an [`Encoder`](super::Encoder), as in the `config.json` of a Hugging Face model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// The architecture and its own settings.
    pub architecture: Architecture,
    /// Number of token ids, at least 1.
    pub vocab_size: i64,
    /// Size of the hidden states, a multiple of `n_heads`.
    pub hidden_size: i64,
    /// Number of layers, at least 1.
    pub n_layers: i64,
    /// Number of attention heads, at least 1.
    pub n_heads: i64,
    /// Size of the feed-forward layers, at least 1.
    pub intermediate_size: i64,
    /// Number of rows of the table of positions, at least 1; texts can be as long as [`max_len`](Self::max_len).
    pub n_positions: i64,
    /// Number of token types; texts have type 0. 0 without an embedding of types.
    pub type_vocab_size: i64,
    /// Token id of padding.
    pub pad_id: i64,
    /// Epsilon of the layer normalizations, above 0.
    pub layer_norm_eps: f64,
    /// Activation of the feed-forward layers.
    pub activation: HiddenActivation,
    /// Dropout probability of embeddings and of the outputs of attention and feed-forward layers, from 0 to below 1.
    pub dropout: f64,
    /// Dropout probability of attention weights, from 0 to below 1.
    pub attention_dropout: f64,
    /// Standard deviation of initial weights, at least 0.
    pub initializer_range: f64,
    /// Whether the encoder has BERT's pooler, a layer with tanh on the first token.
    pub pooler: bool,
    /// Precision of the matrix products, which is not part of `config.json`. Default single.
    #[serde(default)]
    pub precision: Precision,
}

/// The architecture of an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// BERT: Devlin et al., *BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding*, NAACL 2019.
    Bert,
    /// RoBERTa and XLM-RoBERTa: BERT with positions counted from `pad_id + 1`. Liu et al., *RoBERTa: A Robustly Optimized BERT
    /// Pretraining Approach*, 2019.
    Roberta,
    /// DistilBERT: BERT without token types. Sanh et al., *DistilBERT, a distilled version of BERT*, 2019.
    DistilBert,
    /// DeBERTa-v2 and v3: attention to contents and relative positions. He et al., *DeBERTa: Decoding-enhanced BERT with
    /// Disentangled Attention*, ICLR 2021.
    DebertaV2(DebertaConfig),
    /// ModernBERT: rotary positions and local attention. Warner et al., *Smarter, Better, Faster, Longer*, 2024.
    ModernBert(ModernBertConfig),
}

impl EncoderConfig {
    /// Returns a BERT with the sizes of BERT-base, to be changed by field, without pooler.
    pub fn bert(vocab_size: i64) -> Self {
        Self {
            architecture: Architecture::Bert,
            vocab_size,
            hidden_size: 768,
            n_layers: 12,
            n_heads: 12,
            intermediate_size: 3072,
            n_positions: 512,
            type_vocab_size: 2,
            pad_id: 0,
            layer_norm_eps: 1e-12,
            activation: HiddenActivation::Gelu,
            dropout: 0.1,
            attention_dropout: 0.1,
            initializer_range: 0.02,
            pooler: false,
            precision: Precision::F32,
        }
    }

    /// Returns the maximum number of tokens of a text, special tokens included.
    pub fn max_len(&self) -> i64 {
        self.n_positions - self.first_position()
    }

    /// Returns the row of the table of positions for the first token of a text.
    pub(super) fn first_position(&self) -> i64 {
        match self.architecture {
            Architecture::Roberta => self.pad_id + 1,
            _ => 0,
        }
    }

    /// Returns the name of the parameters of a layer, without a dot at its end.
    pub fn layer_name(&self, layer: i64) -> String {
        format!("{}.{layer}", self.layers_name())
    }

    /// Returns the names of the parameters below the first layer, such as the embeddings of words, without dots at their ends.
    pub fn embedding_names(&self) -> Vec<String> {
        let mut names = vec!["embeddings"];
        if let Architecture::DebertaV2(deberta) = &self.architecture {
            if let Some(relative) = &deberta.relative {
                names.push("encoder.rel_embeddings");
                names.extend(relative.is_normalized.then_some("encoder.LayerNorm"));
            }
            names.extend(deberta.convolution.is_some().then_some("encoder.conv"));
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// Returns the name of the list of layers.
    pub(super) fn layers_name(&self) -> &'static str {
        match self.architecture {
            Architecture::DistilBert => "transformer.layer",
            Architecture::ModernBert(_) => "layers",
            _ => "encoder.layer",
        }
    }

    /// Returns the error of a setting.
    pub(super) fn invalid(name: &'static str, expected: impl Into<String>, got: impl ToString) -> Error {
        Error::Config { model: "encoder", name, expected: expected.into(), got: got.to_string() }
    }

    /// Checks that all settings are within their ranges.
    pub(crate) fn check(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("intermediate_size", self.intermediate_size),
        ];
        for (name, size) in sizes {
            if size < 1 {
                return Err(Self::invalid(name, "at least 1", size));
            }
        }
        if self.hidden_size % self.n_heads != 0 {
            let expected = format!("a multiple of the number of attention heads, {}", self.n_heads);
            return Err(Self::invalid("hidden_size", expected, self.hidden_size));
        }
        if self.max_len() < 1 {
            let expected = format!("at least {}", self.first_position() + 1);
            return Err(Self::invalid("n_positions", expected, self.n_positions));
        }
        for (name, size) in [("type_vocab_size", self.type_vocab_size), ("pad_id", self.pad_id)] {
            if size < 0 {
                return Err(Self::invalid(name, "at least 0", size));
            }
        }
        for (name, rate) in [("dropout", self.dropout), ("attention_dropout", self.attention_dropout)] {
            if !(0.0..1.0).contains(&rate) {
                return Err(Self::invalid(name, "from 0 to below 1", rate));
            }
        }
        match &self.architecture {
            Architecture::DebertaV2(deberta) => deberta.check(self)?,
            Architecture::ModernBert(modern) => modern.check(self)?,
            _ => {}
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps.is_finite()) {
            return Err(Self::invalid("layer_norm_eps", "above 0", self.layer_norm_eps));
        }
        if !(self.initializer_range >= 0.0 && self.initializer_range.is_finite()) {
            return Err(Self::invalid("initializer_range", "at least 0", self.initializer_range));
        }
        Ok(())
    }
}
