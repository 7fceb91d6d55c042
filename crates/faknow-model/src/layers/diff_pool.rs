//! Differentiable pooling of graphs (DiffPool).
//!
//! Ying et al., *Hierarchical Graph Representation Learning with Differentiable Pooling*, NeurIPS 2018.

use tch::{Kind, Tensor};

use crate::Result;

/// The result of [`diff_pool`]: graphs of clusters, and auxiliary losses.
#[derive(Debug)]
pub struct PooledGraphs {
    /// Features of the clusters, `[n_graphs, n_clusters, n_features]`.
    pub x: Tensor,
    /// Edges between the clusters, `[n_graphs, n_clusters, n_clusters]`.
    pub adjacency: Tensor,
    /// Link prediction loss, a scalar: ‖A − S Sᵀ‖ divided by the number of entries of A. Neighbors should be in one cluster.
    pub link_loss: Tensor,
    /// Entropy loss, a scalar: mean entropy of the assignments. Each node should be in one cluster.
    pub entropy: Tensor,
}

/// Pools nodes `x` `[n_graphs, n, n_features]` into clusters by the logits `assignment` `[n_graphs, n, n_clusters]`; `mask`
/// `[n_graphs, n, 1]` is 0 for padding rows.
///
/// # Errors
/// The shapes do not fit.
pub fn diff_pool(
    x: &Tensor,
    adjacency: &Tensor,
    assignment: &Tensor,
    mask: Option<&Tensor>,
) -> Result<PooledGraphs> {
    let mut weights = assignment.f_softmax(-1, None::<Kind>)?;
    let mut x = x.shallow_clone();
    if let Some(mask) = mask {
        (x, weights) = (x.f_mul(mask)?, weights.f_mul(mask)?);
    }
    let to_clusters = weights.f_transpose(1, 2)?;
    let difference = adjacency.f_sub(&weights.f_matmul(&to_clusters)?)?;
    let norm = difference.f_square()?.f_sum(None::<Kind>)?.f_sqrt()?;
    let entropy = weights.f_mul(&weights.f_add_scalar(1e-15)?.f_log()?)?.f_neg()?;
    Ok(PooledGraphs {
        x: to_clusters.f_matmul(&x)?,
        adjacency: to_clusters.f_matmul(adjacency)?.f_matmul(&weights)?,
        link_loss: norm.f_div_scalar(adjacency.numel() as f64)?,
        entropy: entropy.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?.f_mean(None::<Kind>)?,
    })
}
