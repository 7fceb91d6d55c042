//! Graph convolution.
//!
//! Kipf and Welling, *Semi-Supervised Classification with Graph Convolutional Networks*, ICLR 2017, equation 2.

use faknow_data::graph::NodeFeatures;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{Graph, WeightInit, node_linear, node_weight};
use crate::Result;

/// PyTorch Geometric's `GCNConv`: `lin.weight` `[n_out, n_in]`, `bias` `[n_out]`.
///
/// Each node has a loop; the message of j to i is x_j Wᵀ / √(d_i d_j), with d the number of edges that end at a node,
/// its loop among them.
#[derive(Debug)]
pub struct GcnConv {
    weight: Tensor,
    bias: Tensor,
}

impl GcnConv {
    /// Creates a layer with PyTorch Geometric's initialization: Glorot's for the weight, 0 for the bias.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let weight = node_weight(&(path / "lin"), "weight", [n_out, n_in], WeightInit::Glorot)?;
        let bias = path.f_var("bias", &[n_out], Init::Const(0.0))?;
        Ok(Self { weight, bias })
    }

    /// The weight, for who multiplies the features himself.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Maps the features of the nodes to `[n_nodes, n_out]`.
    ///
    /// # Errors
    /// The features are not `n_in` wide.
    pub fn forward(&self, features: &NodeFeatures, propagation: &GcnPropagation<'_>) -> Result<Tensor> {
        self.propagate(&node_linear(features, &self.weight)?, propagation)
    }

    /// Completes the layer from x Wᵀ `[n_nodes, n_out]`.
    ///
    /// # Errors
    /// It does not have a row for each node.
    pub fn propagate(&self, x: &Tensor, propagation: &GcnPropagation<'_>) -> Result<Tensor> {
        propagation.forward(x, &self.bias)
    }
}

/// The normalized adjacency with loops, D^-½ (A + I) D^-½; made once for all layers of a forward pass.
#[derive(Debug)]
pub struct GcnPropagation<'a> {
    graph: &'a Graph,
    /// d^-½ of each node, `[n_nodes, 1]`.
    scale: Tensor,
    /// Weight of each edge, `[n_edges, 1]`; 1 if `None`.
    weights: Option<Tensor>,
}

impl<'a> GcnPropagation<'a> {
    /// Creates the propagation of `graph`, for values of `kind`.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn new(graph: &'a Graph, kind: tch::Kind) -> Result<Self> {
        let degrees = graph.in_degrees(kind)?.f_add_scalar(1.0)?;
        Ok(Self { graph, scale: degrees.f_rsqrt()?.f_unsqueeze(1)?, weights: None })
    }

    /// Creates the propagation of `graph` whose edges have these weights, `[n_edges]`; loops have the weight 1.
    ///
    /// # Errors
    /// There is not a weight for each edge.
    pub fn weighted(graph: &'a Graph, weights: Tensor) -> Result<Self> {
        let weights = weights.f_unsqueeze(1)?;
        let scale = graph.scatter_sum(&weights)?.f_add_scalar(1.0)?.f_rsqrt()?;
        Ok(Self { graph, scale, weights: Some(weights) })
    }

    /// Returns the product with `x` `[n_nodes, n]`, plus `bias` `[n]`.
    ///
    /// # Errors
    /// `x` does not have a row for each node.
    pub fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let scaled = x.f_mul(&self.scale)?;
        // The sum begins with the node's own message.
        let messages = scaled.f_index_select(0, &self.graph.source)?;
        let messages = match &self.weights {
            Some(weights) => messages.f_mul(weights)?,
            None => messages,
        };
        Ok(bias.f_addcmul(&scaled.f_index_add(0, &self.graph.target, &messages)?, &self.scale)?)
    }
}
