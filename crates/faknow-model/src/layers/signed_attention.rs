//! Signed graph attention of MFAN: neighbors that are alike and neighbors that are opposite.
//!
//! Zheng et al., *MFAN: Multi-modal Feature-enhanced Attention Networks for Rumor Detection*, IJCAI 2022.

use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::dropout;
use super::init::glorot_bound;
use crate::{Mode, Result};

/// Score of a pair of nodes without an edge.
const NO_EDGE_SCORE: f64 = -1e12;

/// Gain of the initial weights of FaKnow.
const GAIN: f64 = 1.414;

/// Attention over the neighbors of each node, by the softmax of the scores and by that of the negative scores, whose sums are
/// concatenated and mapped to the output.
///
/// As in FaKnow and in the authors' code, the features themselves are summed, not their images under `W`, which only the scores
/// are computed from.
///
/// Parameters: `W` `[n_in, n_out]`, `a` `[2 * n_out, 1]`, `fc_W` `[2 * n_in, n_out]`.
#[derive(Debug)]
pub struct SignedAttention {
    weight: Tensor,
    attention: Tensor,
    output: Tensor,
    negative_slope: f64,
    dropout: f64,
    has_elu: bool,
}

/// Settings of [`SignedAttention`].
#[derive(Debug, Clone, Copy)]
pub struct SignedAttentionSettings {
    /// Slope of the scores below 0.
    pub negative_slope: f64,
    /// Dropout probability of the attention weights, from 0 to below 1.
    pub dropout: f64,
    /// Whether the output goes through ELU.
    pub has_elu: bool,
}

impl SignedAttention {
    /// Creates a layer from `n_in` to `n_out` features.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, [n_in, n_out]: [i64; 2], settings: SignedAttentionSettings) -> Result<Self> {
        let xavier = |name: &str, dims: [i64; 2]| {
            let bound = GAIN * glorot_bound(&dims);
            path.f_var(name, &dims, Init::Uniform { lo: -bound, up: bound })
        };
        Ok(Self {
            weight: xavier("W", [n_in, n_out])?,
            attention: xavier("a", [2 * n_out, 1])?,
            output: xavier("fc_W", [2 * n_in, n_out])?,
            negative_slope: settings.negative_slope,
            dropout: settings.dropout,
            has_elu: settings.has_elu,
        })
    }

    /// Maps the features `[n_nodes, n_in]` of nodes to `[n_nodes, n_out]`; `adjacency`, bool `[n_nodes, n_nodes]`, marks the
    /// neighbors of the node of each row.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, x: &Tensor, adjacency: &Tensor, mode: Mode) -> Result<Tensor> {
        let hidden = x.f_matmul(&self.weight)?;
        let n_out = hidden.size()[1];
        let score = |start: i64| hidden.f_matmul(&self.attention.f_narrow(0, start, n_out)?);
        let scores = score(0)?.f_add(&score(n_out)?.f_tr()?)?; // [n_nodes, n_nodes]
        let scores = scores.f_maximum(&scores.f_mul_scalar(self.negative_slope)?)?;
        let no_edge = adjacency.f_logical_not()?;
        let weights = |scores: &Tensor| -> Result<Tensor> {
            let scores = scores.f_masked_fill(&no_edge, NO_EDGE_SCORE)?;
            dropout(&scores.f_softmax(1, None::<Kind>)?, self.dropout, mode)
        };
        let alike = weights(&scores)?.f_matmul(x)?;
        let opposite = weights(&scores.f_neg()?)?.f_neg()?.f_matmul(x)?;
        let output = Tensor::f_cat(&[alike, opposite], 1)?.f_matmul(&self.output)?;
        Ok(if self.has_elu { output.f_elu()? } else { output })
    }
}

/// Two layers of [`SignedAttention`] over a fixed graph: several heads, then one layer and a sigmoid.
///
/// Parameters: `node_embedding.weight` `[n_nodes, n_features]`, which is not trained; `attention_<i>.*`, `out_att.*`.
#[derive(Debug)]
pub struct SignedGat {
    nodes: Tensor,
    adjacency: Tensor,
    heads: Vec<SignedAttention>,
    output: SignedAttention,
    dropout: f64,
}

/// Settings of [`SignedGat`].
#[derive(Debug, Clone, Copy)]
pub struct SignedGatSettings {
    /// Number of features of the output, at least 1.
    pub n_out: i64,
    /// Number of heads, at least 1.
    pub n_heads: i64,
    /// Slope of the scores below 0.
    pub negative_slope: f64,
    /// Dropout probability of the attention weights and of the features between the layers, from 0 to below 1.
    pub dropout: f64,
}

impl SignedGat {
    /// Creates the layers for the nodes of a graph with the vectors `nodes` `[n_nodes, n_features]`; `adjacency`, bool
    /// `[n_nodes, n_nodes]`, marks the neighbors of the node of each row ([`join_adjacency`]).
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(
        path: &Path<'_>,
        nodes: &Tensor,
        adjacency: &Tensor,
        settings: SignedGatSettings,
    ) -> Result<Self> {
        let SignedGatSettings { n_out, n_heads, negative_slope, dropout } = settings;
        let (_, size) = nodes.size2()?;
        let layer = |has_elu| SignedAttentionSettings { negative_slope, dropout, has_elu };
        let heads = (0..n_heads)
            .map(|i| SignedAttention::new(&(path / format!("attention_{i}")), [size, size], layer(true)))
            .collect::<Result<_>>()?;
        let nodes = nodes.f_to_device(path.device())?.f_to_kind(path.kind())?;
        let node_path = path / "node_embedding";
        Ok(Self {
            nodes: node_path.f_var_copy("weight", &nodes)?.set_requires_grad(false),
            adjacency: adjacency.f_to_device(path.device())?.f_to_kind(Kind::Bool)?,
            heads,
            output: SignedAttention::new(&(path / "out_att"), [n_heads * size, n_out], layer(false))?,
            dropout,
        })
    }

    /// Returns the features of all nodes, `[n_nodes, n_out]`, from 0 to 1.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn forward(&self, mode: Mode) -> Result<Tensor> {
        let heads = self.heads.iter().map(|head| head.forward(&self.nodes, &self.adjacency, mode));
        let hidden = Tensor::f_cat(&heads.collect::<Result<Vec<_>>>()?, 1)?;
        let hidden = dropout(&hidden, self.dropout, mode)?;
        Ok(self.output.forward(&hidden, &self.adjacency, mode)?.f_sigmoid()?)
    }
}

/// Returns the edges, bool `[n_nodes, n_nodes]`, of a graph with nonnegative weights `edges` and of pairs of nodes with a
/// similarity above 0.5, as MFAN joins them.
///
/// # Errors
/// The shapes do not fit.
pub fn join_adjacency(edges: &Tensor, similarities: &Tensor) -> Result<Tensor> {
    Ok(edges.f_gt(0)?.f_logical_or(&similarities.f_gt(0.5)?)?)
}
