//! The embeddings of BERT, RoBERTa, DistilBERT and DeBERTa: words, positions and token types, normalized.

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
    positions: Option<Tensor>,
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
        let (size, has_positions) = match &config.architecture {
            Architecture::DebertaV2(deberta) => (deberta.embedding_size, deberta.has_absolute_positions),
            _ => (config.hidden_size, true),
        };
        let table = |name: &str, n: i64| params.sub(name).tensor("weight", &[n, size], init);
        Ok(Self {
            words: Embedding::from_weight(table("word_embeddings", config.vocab_size)?),
            positions: has_positions.then(|| table("position_embeddings", config.n_positions)).transpose()?,
            first_position: config.first_position(),
            padding_position: (config.architecture == Architecture::Roberta).then_some(config.pad_id),
            types: match config.type_vocab_size {
                0 => None,
                n => Some(table("token_type_embeddings", n)?),
            },
            norm: LayerNorm::new(&params.sub("LayerNorm"), config.hidden_size, config.layer_norm_eps, true)?,
            dropout: config.dropout,
        })
    }

    /// Returns the embeddings of words.
    pub(super) fn words(&self) -> &Embedding {
        &self.words
    }

    /// Computes the input `[n_rows, hidden_size]` of the first layer from the vectors of the words, `[n_rows, hidden_size]`.
    pub(super) fn forward(&self, words: &Tensor, layout: &Layout, mode: Mode) -> Result<Tensor> {
        self.normalize(&self.sum(words, layout)?, mode)
    }

    /// Adds the vectors of positions and types to those of the words, `[n_rows, size]`.
    pub(super) fn sum(&self, words: &Tensor, layout: &Layout) -> Result<Tensor> {
        let mut sum = words.shallow_clone();
        if let Some(positions) = &self.positions {
            let mut rows = layout.columns.f_add_scalar(self.first_position)?;
            if let (Some(padding), Some(mask)) = (self.padding_position, &layout.mask) {
                rows = rows.f_masked_fill(&mask.f_logical_not()?.f_view([-1])?, padding)?;
            }
            sum = Tensor::f_embedding(positions, &rows, -1, false, false)?.f_add(&sum)?;
        }
        match &self.types {
            Some(types) => Ok(sum.f_add(&types.f_narrow(0, 0, 1)?)?),
            None => Ok(sum),
        }
    }

    /// Normalizes and drops sums.
    pub(super) fn normalize(&self, sum: &Tensor, mode: Mode) -> Result<Tensor> {
        dropout(&self.norm.forward(sum)?, self.dropout, mode)
    }
}
