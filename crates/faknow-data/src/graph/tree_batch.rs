//! Trees as one graph: their disjoint union, with the nodes of each tree side by side.

use tch::{Device, Kind, Tensor};

use super::NodeFeatures;
use crate::{Batch, Error, Result};

/// Trees as one graph. Node numbers count through all trees of the batch.
#[derive(Debug)]
pub struct TreeBatch {
    /// Features of the nodes, `[n_nodes, n_features]`.
    pub features: NodeFeatures,
    /// Edges from parent to child, i64 `[2, n_edges]`: row 0 the parents, row 1 the children.
    pub edges: Tensor,
    /// The tree of each node, i64 `[n_nodes]`, ascending.
    pub trees: Tensor,
    /// The root of each tree, i64 `[n_trees]`.
    pub roots: Tensor,
    /// Number of nodes of each tree, i64 `[n_trees]`, each at least 1.
    pub sizes: Tensor,
    /// Class numbers, i64 `[n_trees]`, if the trees are labelled.
    pub labels: Option<Tensor>,
    /// Position of each tree in the data set it came from.
    pub indices: Vec<usize>,
}

impl TreeBatch {
    /// A batch of tensors as PyTorch Geometric has them: `trees` `[n_nodes]` is its `batch`. Indices are `0..n_trees`.
    ///
    /// # Errors
    /// A tensor has another shape or kind, or the numbers of trees or nodes are not those of this batch.
    pub fn new(
        features: NodeFeatures,
        edges: Tensor,
        trees: Tensor,
        roots: Tensor,
        labels: Option<Tensor>,
    ) -> Result<Self> {
        let (n_nodes, n_trees) = (features.n_nodes(), roots.size().first().copied().unwrap_or(0));
        check("edges", &edges, &[2, edges.size().last().copied().unwrap_or(0)], n_nodes)?;
        check("trees", &trees, &[n_nodes], n_trees)?;
        check("roots", &roots, &[n_trees], n_nodes)?;
        if let Some(labels) = &labels {
            check("labels", labels, &[n_trees], i64::MAX)?;
        }
        let sizes = trees.f_bincount::<Tensor>(None, n_trees)?;
        let ascending = trees.f_diff::<Tensor>(1, 0, None, None)?.f_ge(0)?.f_all()?.f_int64_value(&[])? == 1;
        if n_trees == 0 || !ascending || sizes.f_min()?.f_int64_value(&[])? == 0 {
            return Err(Error::Dataset(
                "trees of a batch: expected each to have a node, in order".to_owned(),
            ));
        }
        Ok(Self { features, edges, trees, roots, sizes, labels, indices: (0..n_trees as usize).collect() })
    }

    /// Number of nodes of all trees.
    pub fn n_nodes(&self) -> i64 {
        self.trees.size()[0]
    }

    /// Number of trees.
    pub fn n_trees(&self) -> i64 {
        self.indices.len() as i64
    }
}

impl Batch for TreeBatch {
    fn n_samples(&self) -> usize {
        self.indices.len()
    }

    fn labels(&self) -> Option<&Tensor> {
        self.labels.as_ref()
    }

    fn to_device(&self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.to_device(device);
        Self {
            features: self.features.to_device(device),
            edges: moved(&self.edges),
            trees: moved(&self.trees),
            roots: moved(&self.roots),
            sizes: moved(&self.sizes),
            labels: self.labels.as_ref().map(moved),
            indices: self.indices.clone(),
        }
    }
}

/// Checks that a tensor holds numbers from 0 to below `limit`.
fn check(name: &'static str, tensor: &Tensor, shape: &[i64], limit: i64) -> Result<()> {
    let fits = tensor.size() == shape && tensor.kind() == Kind::Int64;
    let range = if fits && tensor.numel() > 0 {
        (tensor.f_min()?.f_int64_value(&[])?, tensor.f_max()?.f_int64_value(&[])?)
    } else {
        (0, 0)
    };
    if fits && range.0 >= 0 && (range.1 < limit || tensor.numel() == 0) {
        return Ok(());
    }
    let got = format!("{:?} {:?} of {}..={}", tensor.kind(), tensor.size(), range.0, range.1);
    Err(Error::Setting { name, expected: format!("Int64 {shape:?} of numbers below {limit}"), got })
}
