//! GraphSAGE convolution on dense adjacency matrices.
//!
//! Hamilton, Ying and Leskovec, *Inductive Representation Learning on Large Graphs*, NIPS 2017.

use faknow_data::graph::NodeFeatures;
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{NodeLinear, WeightInit, node_linear, node_weight};
use crate::Result;

/// PyTorch Geometric's `DenseSAGEConv`: `lin_rel.weight` for the mean of the neighbors, `lin_root` (`weight`, `bias`) for
/// the node itself.
#[derive(Debug)]
pub struct DenseSageConv {
    neighbors: Tensor,
    own: NodeLinear,
}

impl DenseSageConv {
    /// Creates a layer with PyTorch's initialization.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        Ok(Self {
            neighbors: node_weight(&(path / "lin_rel"), "weight", [n_out, n_in], WeightInit::Kaiming)?,
            own: NodeLinear::new(&(path / "lin_root"), n_in, n_out)?,
        })
    }

    /// Projects the features of each node to its message to the neighbors and its own part, both `[n_nodes, n_out]`.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn project(&self, features: &NodeFeatures) -> Result<(Tensor, Tensor)> {
        Ok((node_linear(features, &self.neighbors)?, self.own.forward(features)?))
    }

    /// Returns the mean of the neighbors' messages plus the node's own part, `[n_graphs, n, n_out]`, for `neighbors` and `own`
    /// of the same shape and `adjacency` `[n_graphs, n, n]`; `mask` `[n_graphs, n, 1]` is 0 for padding rows.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn propagate(
        &self,
        neighbors: &Tensor,
        own: &Tensor,
        adjacency: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor> {
        let degrees = adjacency.f_sum_dim_intlist([-1].as_slice(), true, None::<Kind>)?.f_clamp_min(1.0)?;
        let out = adjacency.f_matmul(neighbors)?.f_div(&degrees)?.f_add(own)?;
        match mask {
            Some(mask) => Ok(out.f_mul(mask)?),
            None => Ok(out),
        }
    }
}
