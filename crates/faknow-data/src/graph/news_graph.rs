//! A graph of news articles, their sources, and the users who engage with them, as FANG reads it.

use std::collections::HashMap;
use std::path::Path;

use tch::Tensor;

use super::news_reader;
use crate::fingerprint::Fingerprint;
use crate::{Result, Rng};

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewsNode {
    /// A user.
    User,
    /// A news article.
    News,
    /// A source (publisher).
    Source,
}

/// The stances of users, each in its own file, in the order of their indices.
pub const STANCES: [&str; 4] = ["deny", "report", "support_neutral", "support_negative"];

/// Times after this many seconds are those of this time: 7 days.
pub const MAX_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

/// A user's stance towards a news article.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Engagement {
    /// The user, a node.
    pub user: u32,
    /// The stance, an index of [`STANCES`].
    pub stance: usize,
    /// Mean time since the publication, 0 to 1 for [`MAX_SECONDS`].
    pub time: f64,
    /// Standard deviation of the times, if the user engages several times.
    pub spread: f64,
}

/// A news article.
#[derive(Debug, Clone, PartialEq)]
pub struct NewsArticle {
    /// Its node.
    pub node: u32,
    /// Its class, 0 for real and 1 for fake; `None` if it is not labeled.
    pub label: Option<usize>,
    /// The node of its source, if it has one.
    pub source: Option<u32>,
    /// Engagements of users in the order of their times, of each user and stance at most one.
    pub engagements: Vec<Engagement>,
}

/// The parts of a graph's articles, by their positions in [`NewsGraph::articles`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewsSplit {
    /// Training articles.
    pub train: Vec<usize>,
    /// Validation articles.
    pub valid: Vec<usize>,
    /// Test articles.
    pub test: Vec<usize>,
}

/// One graph of articles, sources and users, with the features of all nodes.
#[derive(Debug)]
pub struct NewsGraph {
    pub(super) names: Vec<String>,
    pub(super) kinds: Vec<NewsNode>,
    /// Features of the nodes in row-major order.
    pub(super) features: Vec<f32>,
    pub(super) n_features: usize,
    /// Neighbors of each node, sorted and distinct.
    pub(super) neighbors: Vec<Vec<u32>>,
    pub(super) articles: Vec<NewsArticle>,
    pub(super) split: Option<NewsSplit>,
}

/// Nodes with their sampled neighbors, for two layers of message passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeBlocks {
    /// The nodes: those whose embeddings are computed, then their neighbors, then the neighbors of these.
    pub nodes: Vec<u32>,
    /// Number of nodes whose features, whose first and whose second layer are needed.
    pub n_nodes: [usize; 3],
    /// Edges of each layer, from the position of a neighbor to that of a node.
    pub edges: [Vec<(u32, u32)>; 2],
}

impl NewsGraph {
    /// Reads the files of a directory in the format of FANG.
    ///
    /// Required are `entities.txt` (one name per line), `entity_features.tsv` (name and numbers), `news_info.tsv` (article, `fake`
    /// or `real`, text) and `source_publication.tsv` (source, article). Optional are `source_citation.tsv` (source, source),
    /// `user_relationships.tsv` (user, user), a file for each of [`STANCES`] (user, article, seconds since the publication; or
    /// user, article, number, mean and standard deviation of the seconds), and `train_test.json` (articles by `train`, `val` and
    /// `test`). Values are separated by tabs, and may be quoted. Features are normalized to a sum of absolute values of 1.
    ///
    /// # Errors
    /// A file is missing or has an invalid line.
    pub fn read(dir: &Path) -> Result<Self> {
        news_reader::read(dir)
    }

    /// Returns the number of nodes.
    pub fn n_nodes(&self) -> usize {
        self.names.len()
    }

    /// Returns the number of features of a node.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Returns the name of a node.
    pub fn name(&self, node: u32) -> &str {
        &self.names[node as usize]
    }

    /// Returns the kind of a node.
    pub fn kind(&self, node: u32) -> NewsNode {
        self.kinds[node as usize]
    }

    /// Returns the neighbors of a node, sorted.
    pub fn neighbors(&self, node: u32) -> &[u32] {
        &self.neighbors[node as usize]
    }

    /// Returns the articles, in the order of `news_info.tsv`.
    pub fn articles(&self) -> &[NewsArticle] {
        &self.articles
    }

    /// Returns the split of the directory, if it has one.
    pub fn split(&self) -> Option<&NewsSplit> {
        self.split.as_ref()
    }

    /// Returns the features of nodes, f32 `[n, n_features]`.
    ///
    /// # Errors
    /// A libtorch operation fails.
    pub fn features(&self, nodes: &[u32]) -> Result<Tensor> {
        let n = self.n_features;
        let rows = nodes.iter().flat_map(|&node| &self.features[node as usize * n..(node as usize + 1) * n]);
        let values: Vec<f32> = rows.copied().collect();
        Ok(Tensor::f_from_slice(&values)?.f_view([nodes.len() as i64, n as i64])?)
    }

    /// Returns distinct `nodes` with their neighbors and those of their neighbors: at most `max_neighbors[0]` per node and
    /// `max_neighbors[1]` per neighbor, drawn without replacement, or all.
    ///
    /// The neighbors of a node are a function of `seed`, the layer and the node.
    pub fn blocks(&self, nodes: &[u32], max_neighbors: [Option<usize>; 2], seed: u64) -> NodeBlocks {
        let mut all = nodes.to_vec();
        let mut positions: HashMap<u32, u32> = nodes.iter().copied().zip(0..).collect();
        let mut n_nodes = [0, 0, nodes.len()];
        let mut edges = [Vec::new(), Vec::new()];
        for (hop, max) in max_neighbors.into_iter().enumerate() {
            let layer = 1 - hop;
            for target in 0..all.len() {
                for neighbor in self.sample_neighbors(all[target], max, seed, layer) {
                    let next = all.len() as u32;
                    let position = *positions.entry(neighbor).or_insert(next);
                    if position == next {
                        all.push(neighbor);
                    }
                    edges[layer].push((position, target as u32));
                }
            }
            n_nodes[layer] = all.len();
        }
        NodeBlocks { nodes: all, n_nodes, edges }
    }

    fn sample_neighbors(&self, node: u32, max: Option<usize>, seed: u64, layer: usize) -> Vec<u32> {
        let neighbors = self.neighbors(node);
        match max.filter(|&max| max < neighbors.len()) {
            None => neighbors.to_vec(),
            Some(max) => {
                let mut rng = Rng::from_parts(&[seed, layer as u64, u64::from(node)]);
                sample(neighbors, max, &mut rng)
            }
        }
    }

    /// Returns up to `n` neighbors of a node, and `n` nodes of its group (users, or articles and sources) that are not.
    pub fn contrast(&self, node: u32, n: usize, seed: u64) -> (Vec<u32>, Vec<u32>) {
        let mut rng = Rng::from_parts(&[seed, 2, u64::from(node)]);
        let near = sample(self.neighbors(node), n, &mut rng);
        let is_user = self.kind(node) == NewsNode::User;
        let is_far = |other: u32| {
            other != node
                && (self.kind(other) == NewsNode::User) == is_user
                && self.neighbors(node).binary_search(&other).is_err()
        };
        // Most nodes are not neighbors; a graph without such nodes ends the search.
        let draws = (0..20 * n).map(|_| rng.below(self.n_nodes()) as u32);
        let mut far: Vec<u32> = Vec::with_capacity(n);
        for other in draws {
            if far.len() < n && is_far(other) && !far.contains(&other) {
                far.push(other);
            }
        }
        (near, far)
    }

    /// Adds a hash of the contents.
    pub(super) fn add_to(&self, fingerprint: &mut Fingerprint) {
        self.names.iter().for_each(|name| fingerprint.add_str(name));
        self.features.iter().for_each(|value| fingerprint.add(u64::from(value.to_bits())));
        for neighbors in &self.neighbors {
            fingerprint.add(neighbors.len() as u64);
            neighbors.iter().for_each(|&node| fingerprint.add(u64::from(node)));
        }
        for article in &self.articles {
            fingerprint.add(u64::from(article.node));
            fingerprint.add(article.source.map_or(u64::MAX, u64::from));
            for Engagement { user, stance, time, spread } in &article.engagements {
                [u64::from(*user), *stance as u64, time.to_bits(), spread.to_bits()]
                    .into_iter()
                    .for_each(|value| fingerprint.add(value));
            }
        }
    }
}

/// Returns `n` of the items, drawn without replacement, in their order; all if there are fewer.
fn sample(items: &[u32], n: usize, rng: &mut Rng) -> Vec<u32> {
    if n >= items.len() {
        return items.to_vec();
    }
    // Floyd's algorithm: each subset has the same probability.
    let mut chosen: Vec<usize> = Vec::with_capacity(n);
    for last in items.len() - n..items.len() {
        let index = rng.below(last + 1);
        chosen.push(if chosen.contains(&index) { last } else { index });
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|index| items[index]).collect()
}
