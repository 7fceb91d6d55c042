//! The embeddings of BERT, RoBERTa and DistilBERT: words, positions and token types, normalized.

use tch::Tensor;
use tch::nn::Init;

use super::config::{Architecture, EncoderConfig};
use super::layer_norm::LayerNorm;
use super::layout::Layout;
use super::params::Params;
use crate::layers::{Embedding, dropout};
use crate::{Mode, Result};

/// Sums of embeddings, normalized.
#[derive(Debug)]
pub(super) struct Embeddings {
    words: Embedding,
    positions: Tensor,
    /// Row of `positions` for the first token of a text.
    first_position: i64,
    /// Row of `positions` for padding.
    padding_position: Option<i64>,
    types: Option<Tensor>,
    norm: LayerNorm,
    dropout: f64,
}

impl Embeddings {
    pub(super) fn new(params: &Params<'_, '_>, config: &EncoderConfig) -> Result<Self> {
        let init = Init::Randn { mean: 0.0, stdev: config.initializer_range };
        let size = config.hidden_size;
        let table = |name: &str, n: i64| params.sub(name).tensor("weight", &[n, size], init);
        Ok(Self {
            words: Embedding::from_weight(table("word_embeddings", config.vocab_size)?),
            positions: table("position_embeddings", config.n_positions)?,
            first_position: config.first_position(),
            padding_position: (config.architecture == Architecture::Roberta).then_some(config.pad_id),
            types: match config.type_vocab_size {
                0 => None,
                n => Some(table("token_type_embeddings", n)?),
            },
            norm: LayerNorm::new(&params.sub("LayerNorm"), size, config.layer_norm_eps, true)?,
            dropout: config.dropout,
        })
    }

    /// Returns the embeddings of words.
    pub(super) fn words(&self) -> &Embedding {
        &self.words
    }

    /// Computes the input `[n_rows, hidden_size]` of the first layer from the vectors of the words, `[n_rows, hidden_size]`.
    pub(super) fn forward(&self, words: &Tensor, layout: &Layout, mode: Mode) -> Result<Tensor> {
        let mut rows = layout.columns.f_add_scalar(self.first_position)?;
        if let (Some(padding), Some(mask)) = (self.padding_position, &layout.mask) {
            rows = rows.f_masked_fill(&mask.f_logical_not()?.f_view([-1])?, padding)?;
        }
        let positions = Tensor::f_embedding(&self.positions, &rows, -1, false, false)?;
        let sum = match &self.types {
            Some(types) => positions.f_add(&types.f_narrow(0, 0, 1)?)?.f_add(words)?,
            None => positions.f_add(words)?,
        };
        dropout(&self.norm.forward(&sum)?, self.dropout, mode)
    }
}
