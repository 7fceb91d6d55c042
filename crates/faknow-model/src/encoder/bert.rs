//! BERT, RoBERTa and DistilBERT.

use tch::Tensor;

use super::attention::Attention;
use super::config::EncoderConfig;
use super::embeddings::Embeddings;
use super::layout::Layout;
use super::network::{Network, Observer};
use super::params::Params;
use super::post_norm::PostNormLayer;
use crate::layers::Embedding;
use crate::{Mode, Result};

/// Embeddings of words, positions and types, and layers with attention.
#[derive(Debug)]
pub(super) struct Bert {
    embeddings: Embeddings,
    layers: Vec<PostNormLayer>,
    n_heads: i64,
    attention_dropout: f64,
}

impl Bert {
    pub(super) fn new(params: &Params<'_, '_>, config: &EncoderConfig) -> Result<Self> {
        let layers = params.sub(config.layers_name());
        Ok(Self {
            embeddings: Embeddings::new(&params.sub("embeddings"), config)?,
            layers: (0..config.n_layers)
                .map(|i| PostNormLayer::new(&layers.at(i), config))
                .collect::<Result<_>>()?,
            n_heads: config.n_heads,
            attention_dropout: config.attention_dropout,
        })
    }
}

impl Network for Bert {
    fn words(&self) -> &Embedding {
        self.embeddings.words()
    }

    fn run(&self, words: &Tensor, layout: &Layout, mode: Mode, observe: Observer<'_>) -> Result<Tensor> {
        let mut rows = self.embeddings.forward(words, layout, mode)?;
        observe(&rows)?;
        let scale = ((rows.size()[1] / self.n_heads) as f64).powf(-0.5);
        let attention =
            Attention { layout, n_heads: self.n_heads, scale, dropout: self.attention_dropout, mode };
        for layer in &self.layers {
            rows = layer.forward(&rows, mode, |qkv| attention.forward(qkv, |_, _, _| Ok(None)))?;
            observe(&rows)?;
        }
        Ok(rows)
    }
}
