//! FANG: articles classified by their source, and by who engages with them, when and with which stance.
//!
//! Nguyen et al., *FANG: Leveraging Social Context for Fake News Detection Using Graph Representation*, CIKM 2020. GraphSAGE
//! embeds the nodes of one graph of articles, sources and users; the embeddings are trained to classify articles and the
//! stances of users, and to be similar for neighbors. The graph is transductive: it contains the articles of all parts, of which
//! only those of a batch have a label.

use std::collections::HashMap;

use faknow_data::FieldBatch;
use faknow_data::graph::{NewsBatch, STANCES};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use super::{FangEngagements, FangGraphSage, FangNewsClassifier, FangNewsSize, FangStanceClassifier, check};
use crate::{Error, Loss, Mode, Model, Output, Result, loss};

/// Added to the times, as in FaKnow.
const MIN_TIME: f64 = 1e-8;
/// Number of features of a time: mean and standard deviation.
const N_TIMES: i64 = 2;
/// Added to the attention scores of padding.
const MASKED: f64 = -1000.0;

/// Hyperparameters of [`Fang`]; the defaults are FaKnow's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FangConfig {
    /// Length of the embedding of a node, an even number of at least 2. Default 16.
    pub embedding_size: i64,
    /// Number of values per stance in the stance classifier, at least 1. Default 4.
    pub stance_size: i64,
    /// Dropout probability between the layers of the LSTM, from 0 to below 1. Default 0.
    pub dropout: f64,
    /// Maximum number of engagements per article, the earliest, at least 1. Default 100.
    pub max_engagements: usize,
    /// Maximum number of neighbors per node in training, of a node and of its neighbors, each at least 1; in evaluation all are
    /// used. Default 16 and 4.
    pub max_neighbors: [usize; 2],
    /// Number of neighbors and of other nodes with which a node is compared in a training step, at least 1. Default 4.
    pub n_contrasts: usize,
    /// Weight of the loss of the stances, at least 0. Default 1.
    pub stance_weight: f64,
    /// Weight of the loss of the similarity of neighbors, at least 0. Default 1.
    pub proximity_weight: f64,
    /// Weight of the other nodes in the loss of the similarity, at least 0. Default 10.
    pub negative_weight: f64,
}

impl Default for FangConfig {
    fn default() -> Self {
        Self {
            embedding_size: 16,
            stance_size: 4,
            dropout: 0.0,
            max_engagements: 100,
            max_neighbors: [16, 4],
            n_contrasts: 4,
            stance_weight: 1.0,
            proximity_weight: 1.0,
            negative_weight: 10.0,
        }
    }
}

impl FangConfig {
    fn validate(&self, n_features: usize, n_classes: usize) -> Result<()> {
        let sizes = [
            ("embedding_size", self.embedding_size),
            ("stance_size", self.stance_size),
            ("max_engagements", self.max_engagements as i64),
            ("max_neighbors", self.max_neighbors[0].min(self.max_neighbors[1]) as i64),
            ("n_contrasts", self.n_contrasts as i64),
            ("n_features", n_features as i64),
        ];
        check("FANG", &sizes, self.dropout, n_classes)?;
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Config { model: "FANG", name, expected: expected.into(), got })
        };
        if self.embedding_size % 2 != 0 {
            return invalid("embedding_size", "an even number", self.embedding_size.to_string());
        }
        let weights = [
            ("stance_weight", self.stance_weight),
            ("proximity_weight", self.proximity_weight),
            ("negative_weight", self.negative_weight),
        ];
        match weights.into_iter().find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0)) {
            Some((name, weight)) => invalid(name, "a number of at least 0", weight.to_string()),
            None => Ok(()),
        }
    }
}

/// The FANG classifier.
///
/// Parameters: `graph_sage.*`, `stance_classifier.*`, `news_classifier.*`.
#[derive(Debug)]
pub struct Fang {
    encoder: FangGraphSage,
    stances: FangStanceClassifier,
    news: FangNewsClassifier,
    config: FangConfig,
    /// Number of features of a node.
    n_features: usize,
}

impl Fang {
    /// Creates a model for nodes with `n_features` features.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &FangConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        config.validate(n_features, n_classes)?;
        let (size, n_stances) = (config.embedding_size, STANCES.len() as i64);
        let news_size = FangNewsSize {
            embedding_size: size,
            hidden_size: size / 2,
            n_stances,
            n_times: N_TIMES,
            n_classes: n_classes as i64,
        };
        let stances = path / "stance_classifier";
        Ok(Self {
            encoder: FangGraphSage::new(&(path / "graph_sage"), n_features as i64, size)?,
            stances: FangStanceClassifier::new(&stances, size, n_stances, config.stance_size)?,
            news: FangNewsClassifier::new(&(path / "news_classifier"), news_size, config.dropout)?,
            config: config.clone(),
            n_features,
        })
    }

    /// Returns the loss of the similarity of neighbors: a function of the embeddings of the nodes of `subgraph` and the pairs.
    fn proximity(&self, embeddings: &Tensor, contrasts: &Contrasts) -> Result<Tensor> {
        let cosines = |pairs: &[(i64, i64)]| -> Result<Tensor> {
            let side = |index: fn(&(i64, i64)) -> i64| -> Result<Tensor> {
                let positions: Vec<i64> = pairs.iter().map(index).collect();
                Ok(embeddings.f_index_select(
                    0,
                    &Tensor::f_from_slice(&positions)?.f_to_device(embeddings.device())?,
                )?)
            };
            Ok(Tensor::f_cosine_similarity(&side(|pair| pair.0)?, &side(|pair| pair.1)?, 1, 1e-8)?)
        };
        let mut total = Tensor::f_zeros([], (embeddings.kind(), embeddings.device()))?;
        if !contrasts.near.is_empty() {
            let near = cosines(&contrasts.near)?.f_log_sigmoid()?.f_mean(None::<Kind>)?;
            total = total.f_sub(&near)?;
        }
        if !contrasts.far.is_empty() {
            let far = cosines(&contrasts.far)?.f_neg()?.f_log_sigmoid()?.f_mean(None::<Kind>)?;
            total = total.f_sub(&far.f_mul_scalar(self.config.negative_weight)?)?;
        }
        Ok(total)
    }
}

/// Pairs of nodes to compare, by their positions among the embedded nodes.
#[derive(Debug, Default)]
struct Contrasts {
    /// Neighbors.
    near: Vec<(i64, i64)>,
    /// Nodes of a group that are not neighbors.
    far: Vec<(i64, i64)>,
}

/// Positions of nodes among those that are embedded.
#[derive(Debug, Default)]
struct Positions {
    nodes: Vec<u32>,
    of_node: HashMap<u32, i64>,
}

impl Positions {
    /// Returns the position of a node, which is added if it is new.
    fn add(&mut self, node: u32) -> i64 {
        let next = self.nodes.len() as i64;
        let position = *self.of_node.entry(node).or_insert(next);
        if position == next {
            self.nodes.push(node);
        }
        position
    }
}

impl Model for Fang {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let FangConfig { max_engagements, max_neighbors, n_contrasts, .. } = self.config;
        let NewsBatch { graph, articles } = batch.news()?;
        if graph.n_features() != self.n_features {
            let expected = format!("nodes with {} features", self.n_features);
            return Err(Error::Batch { model: "FANG", expected, got: graph.n_features().to_string() });
        }
        let articles: Vec<_> = articles.iter().map(|&index| &graph.articles()[index]).collect();
        let (n, n_stances) = (articles.len(), STANCES.len());
        let lengths: Vec<i64> =
            articles.iter().map(|it| it.engagements.len().min(max_engagements) as i64).collect();
        let len = lengths.iter().copied().max().unwrap_or(0).max(1) as usize;

        let mut positions = Positions::default();
        let news: Vec<i64> = articles.iter().map(|article| positions.add(article.node)).collect();
        let sources: Vec<i64> =
            articles.iter().map(|it| it.source.map_or(-1, |source| positions.add(source))).collect();
        let n_batch_nodes = positions.nodes.len();
        let mut users = vec![0i64; n * len];
        let mut stances = vec![0f32; n * len * n_stances];
        let mut times = vec![0f32; n * len * N_TIMES as usize];
        let mut mask = vec![MASKED as f32; n * len];
        // User, article and stance of each engagement.
        let (mut pairs, mut targets) = ([Vec::new(), Vec::new()], Vec::new());
        for (row, article) in articles.iter().enumerate() {
            for (step, engagement) in article.engagements.iter().take(max_engagements).enumerate() {
                let index = row * len + step;
                users[index] = positions.add(engagement.user);
                stances[index * n_stances + engagement.stance] = 1.0;
                times[2 * index] = (engagement.time + MIN_TIME) as f32;
                times[2 * index + 1] = (engagement.spread + MIN_TIME) as f32;
                mask[index] = 0.0;
                pairs[0].push(users[index]);
                pairs[1].push(news[row]);
                targets.push(engagement.stance as i64);
            }
        }
        let seed = match mode {
            Mode::Train => random_seed()?,
            Mode::Eval => 0,
        };
        let mut contrasts = Contrasts::default();
        for position in 0..n_batch_nodes as i64 {
            let (near, far) = graph.contrast(positions.nodes[position as usize], n_contrasts, seed);
            contrasts.near.extend(near.into_iter().map(|node| (position, positions.add(node))));
            contrasts.far.extend(far.into_iter().map(|node| (position, positions.add(node))));
        }

        let max_neighbors = max_neighbors.map(|max| Some(max).filter(|_| mode.is_train()));
        let blocks = graph.blocks(&positions.nodes, max_neighbors, seed);
        let (device, kind) = (self.encoder.device(), self.encoder.kind());
        let features = graph.features(&blocks.nodes)?.f_to_device(device)?.f_to_kind(kind)?;
        let edges = [edge_tensor(&blocks.edges[0], device)?, edge_tensor(&blocks.edges[1], device)?];
        let n_nodes = blocks.n_nodes.map(|n| n as i64);
        let embeddings = self.encoder.forward(&features, [&edges[0], &edges[1]], n_nodes)?;

        let ints =
            |values: &[i64]| -> Result<Tensor> { Ok(Tensor::f_from_slice(values)?.f_to_device(device)?) };
        let floats = |values: &[f32], shape: &[i64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device)?.f_to_kind(kind)?)
        };
        let rows =
            |positions: &[i64]| -> Result<Tensor> { Ok(embeddings.f_index_select(0, &ints(positions)?)?) };
        // An article without a source has a source of zeros.
        let has_source: Vec<f32> = sources.iter().map(|&it| if it < 0 { 0.0 } else { 1.0 }).collect();
        let sources: Vec<i64> = sources.into_iter().map(|it| it.max(0)).collect();
        let source_vectors = rows(&sources)?.f_mul(&floats(&has_source, &[n as i64, 1])?)?;
        let (n, len) = (n as i64, len as i64);
        let engagements = FangEngagements {
            users: rows(&users)?.f_view([n, len, -1])?,
            stances: floats(&stances, &[n, len, n_stances as i64])?,
            times: floats(&times, &[n, len, N_TIMES])?,
            mask: floats(&mask, &[n, len])?,
            lengths: Some(ints(&lengths)?),
        };
        let output = self.news.forward(&rows(&news)?, &source_vectors, &engagements, mode)?;
        let Output { logits, loss } = loss::classify(output.logits, batch)?;
        let Some(Loss { total: classification, .. }) = loss else {
            return Ok(Output { logits, loss });
        };
        let stance = match targets.is_empty() {
            true => Tensor::f_zeros([], (kind, device))?,
            false => {
                let logits = self.stances.forward(&rows(&pairs[0])?, &rows(&pairs[1])?)?;
                loss::cross_entropy(&logits, &ints(&targets)?)?
            }
        };
        let proximity = self.proximity(&embeddings, &contrasts)?;
        let total = classification
            .f_add(&stance.f_mul_scalar(self.config.stance_weight)?)?
            .f_add(&proximity.f_mul_scalar(self.config.proximity_weight)?)?;
        let parts =
            vec![(Loss::CLASSIFICATION, classification), ("stance", stance), ("proximity", proximity)];
        Ok(Output { logits, loss: Some(Loss { total, parts }) })
    }
}

/// Draws a seed from libtorch's generator, which a training step seeds.
fn random_seed() -> Result<u64> {
    let drawn = Tensor::f_randint(1 << 62, [1], (Kind::Int64, Device::Cpu))?;
    Ok(drawn.f_int64_value(&[0])? as u64)
}

fn edge_tensor(edges: &[(u32, u32)], device: Device) -> Result<Tensor> {
    let ends = |end: fn(&(u32, u32)) -> u32| edges.iter().map(move |edge| i64::from(end(edge)));
    let values: Vec<i64> = ends(|edge| edge.0).chain(ends(|edge| edge.1)).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([2, edges.len() as i64])?.f_to_device(device)?)
}
