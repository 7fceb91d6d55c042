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
/// Each node has a self-loop. The message from j to i is x_j Wᵀ / √(d_i d_j), where d is the in-degree, including the
/// self-loop.
#[derive(Debug)]
pub struct GcnConv {
    weight: Tensor,
    bias: Tensor,
}

impl GcnConv {
    /// Creates a layer with PyTorch Geometric's initialization: Glorot for the weight, 0 for the bias.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let weight = node_weight(&(path / "lin"), "weight", [n_out, n_in], WeightInit::Glorot)?;
        let bias = path.f_var("bias", &[n_out], Init::Const(0.0))?;
        Ok(Self { weight, bias })
    }

    /// Returns the weight, for callers that multiply the features themselves.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Maps the features of the nodes to `[n_nodes, n_out]`.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn forward(&self, features: &NodeFeatures, propagation: &GcnPropagation<'_>) -> Result<Tensor> {
        self.propagate(&node_linear(features, &self.weight)?, propagation)
    }

    /// Computes the output from the projected features `x` (features times Wᵀ), `[n_nodes, n_out]`.
    ///
    /// # Errors
    /// `x` does not have a row for each node.
    pub fn propagate(&self, x: &Tensor, propagation: &GcnPropagation<'_>) -> Result<Tensor> {
        propagation.forward(x, &self.bias)
    }
}

/// The normalized adjacency matrix with self-loops, D^-½ (A + I) D^-½, shared by the layers of a forward pass.
#[derive(Debug)]
pub struct GcnPropagation<'a> {
    graph: &'a Graph,
    /// d^-½ of each node, `[n_nodes, 1]`.
    scale: Tensor,
    /// Weight of each edge, `[n_edges, 1]`. Default: 1.
    weights: Option<Tensor>,
}

impl<'a> GcnPropagation<'a> {
    /// Creates the propagation of `graph` for values of `kind`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn new(graph: &'a Graph, kind: tch::Kind) -> Result<Self> {
        let degrees = graph.in_degrees(kind)?.f_add_scalar(1.0)?;
        Ok(Self { graph, scale: degrees.f_rsqrt()?.f_unsqueeze(1)?, weights: None })
    }

    /// Creates the propagation of `graph` with edge `weights` `[n_edges]`; self-loops have weight 1.
    ///
    /// # Errors
    /// The number of weights is not the number of edges.
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
        // The sum starts with the self-loop.
        let messages = scaled.f_index_select(0, &self.graph.source)?;
        let messages = match &self.weights {
            Some(weights) => messages.f_mul(weights)?,
            None => messages,
        };
        Ok(bias.f_addcmul(&scaled.f_index_add(0, &self.graph.target, &messages)?, &self.scale)?)
    }
}
