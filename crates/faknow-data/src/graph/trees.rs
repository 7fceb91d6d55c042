//! The trees of a batch as one graph: their disjoint union, in which the nodes of each tree are consecutive.

use tch::{Device, Kind, Tensor};

use super::NodeFeatures;
use crate::{Error, Result};

/// Trees as one graph. Node indices are global: they count through all trees of the batch.
#[derive(Debug)]
pub struct Trees {
    /// Features of the nodes, `[n_nodes, n_features]`.
    pub features: NodeFeatures,
    /// Edges from parent to child, i64 `[2, n_edges]`: row 0 the parents, row 1 the children.
    pub edges: Tensor,
    /// The tree of each node, i64 `[n_nodes]`, ascending.
    pub tree_ids: Tensor,
    /// The root of each tree, i64 `[n_trees]`.
    pub roots: Tensor,
    /// Number of nodes of each tree, i64 `[n_trees]`, each at least 1.
    pub sizes: Tensor,
}

impl Trees {
    /// Creates trees from tensors in the layout of PyTorch Geometric, whose `batch` is `tree_ids` `[n_nodes]`.
    ///
    /// # Errors
    /// A tensor has the wrong shape or kind or contains indices that are out of range, or `tree_ids` are not ascending or
    /// lack a tree.
    pub fn new(features: NodeFeatures, edges: Tensor, tree_ids: Tensor, roots: Tensor) -> Result<Self> {
        let (n_nodes, n_trees) = (features.n_nodes(), roots.size().first().copied().unwrap_or(0));
        check("edges", &edges, &[2, edges.size().last().copied().unwrap_or(0)], n_nodes)?;
        check("tree_ids", &tree_ids, &[n_nodes], n_trees)?;
        check("roots", &roots, &[n_trees], n_nodes)?;
        let sizes = tree_ids.f_bincount::<Tensor>(None, n_trees)?;
        let is_ascending =
            tree_ids.f_diff::<Tensor>(1, 0, None, None)?.f_ge(0)?.f_all()?.f_int64_value(&[])? == 1;
        if n_trees == 0 || !is_ascending || sizes.f_min()?.f_int64_value(&[])? == 0 {
            return Err(Error::Dataset(
                "tree_ids: expected ascending tree indices, with at least one node per tree".to_owned(),
            ));
        }
        Ok(Self { features, edges, tree_ids, roots, sizes })
    }

    /// Returns the total number of nodes.
    pub fn n_nodes(&self) -> i64 {
        self.tree_ids.size()[0]
    }

    /// Returns the number of trees.
    pub fn n_trees(&self) -> i64 {
        self.roots.size()[0]
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        let to_device = |tensor: &Tensor| tensor.to_device(device);
        Self {
            features: self.features.to_device(device),
            edges: to_device(&self.edges),
            tree_ids: to_device(&self.tree_ids),
            roots: to_device(&self.roots),
            sizes: to_device(&self.sizes),
        }
    }
}

/// Checks that a tensor has this shape and contains indices in `0..limit`.
fn check(name: &'static str, tensor: &Tensor, shape: &[i64], limit: i64) -> Result<()> {
    let has_shape = tensor.size() == shape && tensor.kind() == Kind::Int64;
    let range = if has_shape && tensor.numel() > 0 {
        (tensor.f_min()?.f_int64_value(&[])?, tensor.f_max()?.f_int64_value(&[])?)
    } else {
        (0, 0)
    };
    if has_shape && range.0 >= 0 && (range.1 < limit || tensor.numel() == 0) {
        return Ok(());
    }
    let got = format!("{:?} {:?} with values {}..={}", tensor.kind(), tensor.size(), range.0, range.1);
    Err(Error::Setting {
        name,
        expected: format!("Int64 {shape:?} with values from 0 to below {limit}"),
        got,
    })
}
