//! DeBERTa-v2 and v3: attention to contents and relative positions.
//!
//! He, Gao and Chen, *DeBERTaV3: Improving DeBERTa using ELECTRA-Style Pre-Training with Gradient-Disentangled Embedding
//! Sharing*, ICLR 2023; the attention is that of He et al., *DeBERTa: Decoding-enhanced BERT with Disentangled Attention*, ICLR
//! 2021, section 3.1.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Init;

use super::activation::HiddenActivation;
use super::attention::Attention;
use super::config::EncoderConfig;
use super::deberta_conv::Convolution;
use super::embeddings::Embeddings;
use super::layer_norm::LayerNorm;
use super::layout::Layout;
use super::network::{Network, Observer};
use super::params::Params;
use super::post_norm::PostNormLayer;
use super::projection::{LinearKind, Projection};
use super::relative_positions::RelativePositions;
use crate::layers::{Embedding, dropout};
use crate::{Mode, Result};

/// Settings of DeBERTa that other architectures do not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DebertaConfig {
    /// Size of the embeddings of words, which are projected to the hidden size if it differs.
    pub embedding_size: i64,
    /// Whether absolute positions are added to the embeddings of words.
    pub has_absolute_positions: bool,
    /// The relative attention; `None` for the attention of BERT.
    pub relative: Option<RelativeConfig>,
    /// Kernel size of the convolution over the embeddings that is added to the first layer, and its number of groups and
    /// activation; `None` without convolution.
    pub convolution: Option<(i64, i64, HiddenActivation)>,
}

/// Settings of the attention to relative positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelativeConfig {
    /// Number of logarithmic buckets per direction; 0 for one per distance.
    pub n_buckets: i64,
    /// Largest distance, at least 1.
    pub max_distance: i64,
    /// Whether the embeddings of positions are normalized.
    pub is_normalized: bool,
    /// Whether positions use the projections of contents, else their own.
    pub shares_projections: bool,
    /// Whether contents attend to positions.
    pub content_to_position: bool,
    /// Whether positions attend to contents.
    pub position_to_content: bool,
}

impl DebertaConfig {
    /// Checks that all settings are within their ranges.
    pub(super) fn check(&self, config: &EncoderConfig) -> Result<()> {
        if self.embedding_size < 1 {
            return Err(EncoderConfig::invalid("embedding_size", "at least 1", self.embedding_size));
        }
        if let Some(relative) = &self.relative {
            if relative.max_distance < 1 {
                return Err(EncoderConfig::invalid(
                    "max_relative_positions",
                    "at least 1",
                    relative.max_distance,
                ));
            }
            let n_buckets = relative.n_buckets;
            // Logarithmic buckets are beyond the half.
            if n_buckets != 0 && (n_buckets < 4 || relative.max_distance - 1 <= n_buckets / 2) {
                let expected = format!("0, or at least 4 and below {}", 2 * relative.max_distance - 2);
                return Err(EncoderConfig::invalid("position_buckets", expected, n_buckets));
            }
        }
        if let Some((kernel_size, n_groups, _)) = self.convolution {
            if kernel_size < 1 || kernel_size % 2 == 0 {
                return Err(EncoderConfig::invalid(
                    "conv_kernel_size",
                    "an odd number of at least 1",
                    kernel_size,
                ));
            }
            if n_groups < 1 || config.hidden_size % n_groups != 0 {
                let expected = format!("a divisor of the hidden size, {}", config.hidden_size);
                return Err(EncoderConfig::invalid("conv_groups", expected, n_groups));
            }
        }
        Ok(())
    }
}

impl RelativeConfig {
    /// Returns the number of embeddings per direction.
    pub(super) fn span(&self) -> i64 {
        if self.n_buckets > 0 { self.n_buckets } else { self.max_distance }
    }
}

/// Embeddings, layers with attention to relative positions, and a convolution.
#[derive(Debug)]
pub(super) struct Deberta {
    embeddings: Embeddings,
    projection: Option<Projection>,
    relative: Option<Relative>,
    convolution: Option<Convolution>,
    layers: Vec<Layer>,
    n_heads: i64,
    dropout: f64,
    attention_dropout: f64,
}

#[derive(Debug)]
struct Layer {
    layer: PostNormLayer,
    /// Projections of positions, unless they share those of contents.
    position_key: Option<Projection>,
    position_query: Option<Projection>,
}

/// The embeddings of relative positions, which all layers share.
#[derive(Debug)]
struct Relative {
    config: RelativeConfig,
    embeddings: Tensor,
    norm: Option<LayerNorm>,
}

impl Deberta {
    pub(super) fn new(
        params: &Params<'_, '_>,
        config: &EncoderConfig,
        deberta: &DebertaConfig,
    ) -> Result<Self> {
        let (size, std) = (config.hidden_size, config.initializer_range);
        let embeddings = params.sub("embeddings");
        let projection = (deberta.embedding_size != size)
            .then(|| {
                let sizes = [deberta.embedding_size, size];
                let kind = LinearKind { sizes, std, has_bias: false, target: None };
                Projection::new(&embeddings.sub("embed_proj"), kind)
            })
            .transpose()?;
        let embeddings = Embeddings::new(&embeddings, config)?;
        let encoder = params.sub("encoder");
        let relative = deberta.relative.as_ref().map(|relative| Relative::new(&encoder, config, relative));
        let convolution =
            deberta.convolution.map(|settings| Convolution::new(&encoder.sub("conv"), config, settings));
        let layers = encoder.sub("layer");
        let layer = |i| {
            let params = layers.at(i);
            let own = deberta.relative.as_ref().filter(|relative| !relative.shares_projections);
            let position = |name: &str, is_used: bool| {
                let kind = LinearKind { sizes: [size, size], std, has_bias: true, target: None };
                is_used
                    .then(|| Projection::new(&params.sub(&format!("attention.self.{name}")), kind))
                    .transpose()
            };
            Ok(Layer {
                layer: PostNormLayer::new(&params, config)?,
                position_key: position("pos_key_proj", own.is_some_and(|it| it.content_to_position))?,
                position_query: position("pos_query_proj", own.is_some_and(|it| it.position_to_content))?,
            })
        };
        Ok(Self {
            embeddings,
            projection,
            relative: relative.transpose()?,
            convolution: convolution.transpose()?,
            layers: (0..config.n_layers).map(layer).collect::<Result<_>>()?,
            n_heads: config.n_heads,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
        })
    }

    /// Returns the function that computes the scores of relative positions of a block: `[n_texts, n_heads, len, len]`.
    fn position_scores<'a>(
        &'a self,
        layer: &'a Layer,
        positions: Option<&'a RelativePositions>,
        scale: f64,
        mode: Mode,
    ) -> Result<impl Fn(usize, &Tensor, &Tensor) -> Result<Option<Tensor>> + 'a> {
        let heads = |rows: Tensor| -> Result<Tensor> {
            let size = rows.size();
            // [n_heads, size / n_heads, n_positions]
            Ok(rows.f_view([size[0], self.n_heads, size[1] / self.n_heads])?.f_permute([1, 2, 0])?)
        };
        let (mut keys, mut queries) = (None, None);
        if let (Some(relative), Some(positions)) = (&self.relative, positions) {
            let embeddings = dropout(&positions.embeddings, self.dropout, mode)?;
            if relative.config.content_to_position {
                let key = layer.position_key.as_ref().unwrap_or(&layer.layer.key);
                keys = Some(heads(key.forward(&embeddings, mode)?)?);
            }
            if relative.config.position_to_content {
                let query = layer.position_query.as_ref().unwrap_or(&layer.layer.query);
                queries = Some(heads(query.forward(&embeddings, mode)?)?);
            }
        }
        Ok(move |block: usize, block_queries: &Tensor, block_keys: &Tensor| {
            let Some(positions) = positions else { return Ok(None) };
            let index = &positions.indices[block];
            let gather = |vectors: &Tensor, positions: &Tensor, index: &Tensor| -> Result<Tensor> {
                let products = vectors.f_matmul(positions)?; // [n_texts, n_heads, len, n_positions]
                let size = products.size();
                let index = index.f_expand([size[0], size[1], size[2], size[2]], false)?;
                Ok(products.f_gather(-1, &index, false)?.f_mul_scalar(scale)?)
            };
            let content = keys.as_ref().map(|keys| gather(block_queries, keys, &index.content_to_position));
            let position = queries.as_ref().map(|queries| -> Result<Tensor> {
                Ok(gather(block_keys, queries, &index.position_to_content)?.f_transpose(-1, -2)?)
            });
            Ok(match (content.transpose()?, position.transpose()?) {
                (Some(content), Some(position)) => Some(content.f_add(&position)?),
                (content, position) => content.or(position),
            })
        })
    }
}

impl Network for Deberta {
    fn words(&self) -> &Embedding {
        self.embeddings.words()
    }

    fn run(&self, words: &Tensor, layout: &Layout, mode: Mode, observe: Observer<'_>) -> Result<Tensor> {
        let sum = self.embeddings.sum(words, layout)?;
        let sum = match &self.projection {
            Some(projection) => projection.forward(&sum, mode)?,
            None => sum,
        };
        let embedded = self.embeddings.normalize(&sum, mode)?;
        observe(&self.masked(&embedded, layout)?)?;
        let relative = self.relative.as_ref();
        let positions = relative.map(|relative| relative.positions(layout)).transpose()?;
        let n_parts = relative.map_or(1, |it| {
            1 + i64::from(it.config.content_to_position) + i64::from(it.config.position_to_content)
        });
        // As in the library transformers, the scale is rounded to single precision.
        let scale = 1.0 / f64::from(((embedded.size()[1] / self.n_heads * n_parts) as f32).sqrt());
        let attention =
            Attention { layout, n_heads: self.n_heads, scale, dropout: self.attention_dropout, mode };
        let mut rows = embedded.shallow_clone();
        for (i, layer) in self.layers.iter().enumerate() {
            let scores = self.position_scores(layer, positions.as_ref(), scale, mode)?;
            rows = layer.layer.forward(&rows, mode, |qkv| attention.forward(qkv, &scores))?;
            if let (0, Some(convolution)) = (i, &self.convolution) {
                rows = convolution.forward(&embedded, &rows, layout, mode)?;
            }
            observe(&rows)?;
        }
        Ok(rows)
    }
}

impl Deberta {
    /// Sets padded rows to 0.
    fn masked(&self, rows: &Tensor, layout: &Layout) -> Result<Tensor> {
        Ok(match &layout.mask {
            Some(mask) => rows.f_mul(&mask.f_view([-1, 1])?)?,
            None => rows.shallow_clone(),
        })
    }
}

impl Relative {
    fn new(params: &Params<'_, '_>, config: &EncoderConfig, relative: &RelativeConfig) -> Result<Self> {
        let (size, eps) = (config.hidden_size, config.layer_norm_eps);
        let init = Init::Randn { mean: 0.0, stdev: config.initializer_range };
        let embeddings = params.sub("rel_embeddings").tensor("weight", &[2 * relative.span(), size], init)?;
        let norm = relative.is_normalized.then(|| LayerNorm::new(&params.sub("LayerNorm"), size, eps, true));
        Ok(Self { config: relative.clone(), embeddings, norm: norm.transpose()? })
    }

    /// Returns the embeddings of the positions that occur in a batch.
    fn positions(&self, layout: &Layout) -> Result<RelativePositions> {
        let lengths: Vec<i64> = layout.blocks.iter().map(|block| block.len).collect();
        RelativePositions::new(&self.config, &lengths, self.embeddings.device(), |start, n| {
            let embeddings = self.embeddings.f_narrow(0, start, n)?;
            match &self.norm {
                Some(norm) => norm.forward(&embeddings),
                None => Ok(embeddings),
            }
        })
    }
}
