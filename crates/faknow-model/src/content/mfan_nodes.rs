//! The social context of posts in MFAN: nodes of a graph, or users.

use faknow_data::FieldBatch;
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::layers::{DomainEmbedding, MissingEmbedding, SignedGat, SignedGatSettings, join_adjacency};
use crate::{Error, Mode, Result};

/// A graph of posts, users and comments.
#[derive(Debug)]
pub struct MfanGraph {
    /// Vectors of the nodes, `[n_nodes, size]`, which are not trained.
    pub node_embeddings: Tensor,
    /// Nonnegative weights of the edges, `[n_nodes, n_nodes]`; 0 without an edge.
    pub adjacency: Tensor,
}

impl MfanGraph {
    /// Returns the edges of the graph, with one between nodes whose vectors have a cosine similarity above 0.5, bool
    /// `[n_nodes, n_nodes]`.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn edges(&self) -> Result<Tensor> {
        let nodes = &self.node_embeddings;
        let norms = nodes.f_norm_scalaropt_dim(2.0, [1].as_slice(), true)?;
        let directions = nodes.f_div(&norms.f_clamp_min(1e-12)?)?;
        join_adjacency(&self.adjacency, &directions.f_matmul(&directions.f_tr()?)?)
    }
}

/// Where the social context of posts comes from.
#[derive(Debug, Clone, Copy)]
pub enum MfanNodes<'a> {
    /// Posts have none.
    None,
    /// The user who wrote a post, or another group of posts, which has a learned vector: the domain in a batch, of this number, at
    /// least 1. A post of an unknown user has no social context.
    Users(usize),
    /// A graph that contains the posts: the feature [`NODE`](super::Mfan::NODE) of a batch `[n, 1]` is the index of the node of a
    /// post, or -1 for a post that is not in the graph.
    Graph(&'a MfanGraph),
}

/// The vectors of the nodes of posts.
///
/// Parameters: `user_embedding.weight` of users, or `gat.*` ([`SignedGat`]) of a graph; `missing_node.embedding`, the vector of a
/// post without social context.
#[derive(Debug)]
pub(super) struct NodeLayer {
    nodes: Nodes,
    missing: MissingEmbedding,
    dropout: f64,
}

#[derive(Debug)]
enum Nodes {
    None,
    Users(DomainEmbedding),
    Graph(SignedGat),
}

impl NodeLayer {
    /// Creates the layer; `dropout` is the probability that a post counts as one without social context in training.
    pub(super) fn new(
        path: &Path<'_>,
        nodes: MfanNodes<'_>,
        settings: SignedGatSettings,
        dropout: f64,
    ) -> Result<Self> {
        let nodes = match nodes {
            MfanNodes::None => Nodes::None,
            MfanNodes::Users(0) => {
                return Err(Error::Config {
                    model: "MFAN",
                    name: "n_users",
                    expected: "at least 1".into(),
                    got: "0".into(),
                });
            }
            MfanNodes::Users(n) => {
                Nodes::Users(DomainEmbedding::new(&(path / "user_embedding"), n as i64, settings.n_out)?)
            }
            MfanNodes::Graph(graph) => {
                let edges = graph.edges()?;
                Nodes::Graph(SignedGat::new(&(path / "gat"), &graph.node_embeddings, &edges, settings)?)
            }
        };
        let missing = MissingEmbedding::new(&(path / "missing_node"), settings.n_out)?;
        Ok(Self { nodes, missing, dropout })
    }

    /// Returns whether posts can have a social context.
    pub(super) fn is_used(&self) -> bool {
        !matches!(self.nodes, Nodes::None)
    }

    /// Returns the vectors of the nodes of `n` posts, `[n, size]`, and which posts have one, bool `[n]`.
    pub(super) fn forward(&self, batch: &FieldBatch, n: i64, mode: Mode) -> Result<(Tensor, Tensor)> {
        let indices = match &self.nodes {
            Nodes::None => {
                let vectors = self.missing.repeated(n)?;
                let present = Tensor::f_zeros([n], (Kind::Bool, vectors.device()))?;
                return Ok((vectors, present));
            }
            Nodes::Users(_) => batch.domains()?.shallow_clone(),
            Nodes::Graph(_) => node_indices(batch.feature(super::Mfan::NODE)?)?,
        };
        let mut present = indices.f_ge(0)?;
        if mode.is_train() && self.dropout > 0.0 {
            let is_retained = Tensor::f_rand([n], (Kind::Float, present.device()))?.f_ge(self.dropout)?;
            present = present.f_logical_and(&is_retained)?;
        }
        let vectors = match &self.nodes {
            Nodes::Users(users) => users.forward(&indices)?,
            Nodes::Graph(graph) => select(&graph.forward(mode)?, &indices)?,
            Nodes::None => self.missing.repeated(n)?,
        };
        Ok((self.missing.forward(&vectors, &present)?, present))
    }
}

/// Returns the indices, i64 `[n]`, in a feature `[n, 1]`.
fn node_indices(feature: &Tensor) -> Result<Tensor> {
    match feature.size()[..] {
        [_, 1] => Ok(feature.f_squeeze_dim(1)?.f_round()?.f_to_kind(Kind::Int64)?),
        ref size => Err(Error::Batch {
            model: "MFAN",
            expected: format!("feature `{}` with the index of the node of each post", super::Mfan::NODE),
            got: format!("shape {size:?}"),
        }),
    }
}

/// Returns the rows at `indices`; any row at a negative one.
fn select(rows: &Tensor, indices: &Tensor) -> Result<Tensor> {
    let last = indices.f_max()?.f_int64_value(&[])?;
    let n_nodes = rows.size()[0];
    if last >= n_nodes {
        return Err(Error::Batch {
            model: "MFAN",
            expected: format!("feature `{}` from -1 to {}", super::Mfan::NODE, n_nodes - 1),
            got: last.to_string(),
        });
    }
    Ok(rows.f_index_select(0, &indices.f_clamp_min(0)?)?)
}
