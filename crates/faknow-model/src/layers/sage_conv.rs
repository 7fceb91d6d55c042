//! GraphSAGE convolution.
//!
//! Hamilton, Ying and Leskovec, *Inductive Representation Learning on Large Graphs*, NIPS 2017, with the mean aggregator.

use faknow_data::graph::NodeFeatures;
use tch::nn::Path;
use tch::{Device, Kind, Tensor};

use super::{Graph, WeightInit, bias_uniform, concat_weights, node_linear, node_weight};
use crate::Result;

/// PyTorch Geometric's `SAGEConv`: `lin_l` for the mean of the neighbors (`weight` `[n_out, n_in]`, `bias` `[n_out]`),
/// `lin_r` for the node itself (only `weight`).
#[derive(Debug)]
pub struct SageConv {
    neighbors: Tensor,
    own: Tensor,
    bias: Tensor,
    n_out: i64,
}

impl SageConv {
    /// Creates a layer with PyTorch's initialization of linear layers.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let neighbors = node_weight(&(path / "lin_l"), "weight", [n_out, n_in], WeightInit::Kaiming)?;
        let bias = bias_uniform(&(path / "lin_l"), n_out, n_in)?;
        let own = node_weight(&(path / "lin_r"), "weight", [n_out, n_in], WeightInit::Kaiming)?;
        Ok(Self { neighbors, own, bias, n_out })
    }

    /// Maps the features of the nodes to `[n_nodes, n_out]`; the mean of no neighbors is 0.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn forward(&self, features: &NodeFeatures, graph: &Graph) -> Result<Tensor> {
        // Both products in one pass over the features.
        let both = node_linear(features, &concat_weights(&[&self.neighbors, &self.own])?)?;
        let parts = both.f_split(self.n_out, 1)?;
        let (neighbors, own) = (&parts[0], &parts[1]);
        let counts = graph.in_degrees(both.kind())?.f_clamp_min(1.0)?.f_unsqueeze(1)?;
        let mean = graph.aggregate(neighbors)?.f_div(&counts)?;
        Ok(mean.f_add(own)?.f_add(&self.bias)?)
    }

    /// Returns the device of the weights.
    pub(crate) fn device(&self) -> Device {
        self.bias.device()
    }

    /// Returns the kind (dtype) of the weights.
    pub(crate) fn kind(&self) -> Kind {
        self.bias.kind()
    }

    /// Maps the features `x` `[n_nodes, n_in]` to `[graph.n_nodes, n_out]`: the targets of the graph are the first nodes of `x`,
    /// its sources any of them. The mean of no neighbors is 0.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn forward_bipartite(&self, x: &Tensor, graph: &Graph) -> Result<Tensor> {
        let counts = graph.in_degrees(x.kind())?.f_clamp_min(1.0)?.f_unsqueeze(1)?;
        let mean = graph.aggregate(x)?.f_div(&counts)?.f_linear(&self.neighbors, Some(&self.bias))?;
        Ok(x.f_narrow(0, 0, graph.n_nodes)?.f_linear::<Tensor>(&self.own, None)?.f_add(&mean)?)
    }
}
