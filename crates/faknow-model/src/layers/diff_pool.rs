//! Pooling of graphs that learns which nodes belong together.
//!
//! Ying et al., *Hierarchical Graph Representation Learning with Differentiable Pooling*, NeurIPS 2018.

use tch::{Kind, Tensor};

use crate::Result;

/// Graphs of fewer nodes, and how well the old nodes were told apart.
#[derive(Debug)]
pub struct PooledGraphs {
    /// Clusters as nodes, `[n_graphs, n_clusters, n_features]`.
    pub x: Tensor,
    /// Edges between them, `[n_graphs, n_clusters, n_clusters]`.
    pub adjacency: Tensor,
    /// ‖A − S Sᵀ‖ over the number of entries of A: neighbors should be of one cluster. A scalar.
    pub link_loss: Tensor,
    /// Mean entropy of the clusters of a row: a node should be of one cluster. A scalar.
    pub entropy: Tensor,
}

/// Puts nodes `x` `[n_graphs, n, n_features]` into clusters by `assignment` `[n_graphs, n, n_clusters]`, logits; `mask`
/// `[n_graphs, n, 1]` is 0 for rows that are no nodes.
///
/// # Errors
/// The shapes do not fit.
pub fn diff_pool(
    x: &Tensor,
    adjacency: &Tensor,
    assignment: &Tensor,
    mask: Option<&Tensor>,
) -> Result<PooledGraphs> {
    let mut share = assignment.f_softmax(-1, None::<Kind>)?;
    let mut x = x.shallow_clone();
    if let Some(mask) = mask {
        (x, share) = (x.f_mul(mask)?, share.f_mul(mask)?);
    }
    let to_clusters = share.f_transpose(1, 2)?;
    let difference = adjacency.f_sub(&share.f_matmul(&to_clusters)?)?;
    let norm = difference.f_square()?.f_sum(None::<Kind>)?.f_sqrt()?;
    let entropy = share.f_mul(&share.f_add_scalar(1e-15)?.f_log()?)?.f_neg()?;
    Ok(PooledGraphs {
        x: to_clusters.f_matmul(&x)?,
        adjacency: to_clusters.f_matmul(adjacency)?.f_matmul(&share)?,
        link_loss: norm.f_div_scalar(adjacency.numel() as f64)?,
        entropy: entropy.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?.f_mean(None::<Kind>)?,
    })
}
