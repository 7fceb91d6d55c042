//! Graphs for message passing, and pooling over trees.

use faknow_data::graph::Trees;
use tch::{Kind, Tensor};

use crate::Result;

/// Directed edges between the nodes of a batch of trees.
#[derive(Debug)]
pub struct Graph {
    /// Source node of each edge, i64 `[n_edges]`.
    pub source: Tensor,
    /// Target node of each edge, i64 `[n_edges]`.
    pub target: Tensor,
    /// Number of nodes.
    pub n_nodes: i64,
}

impl Graph {
    /// Creates a graph from `edges` i64 `[2, n_edges]`: row 0 holds the sources, row 1 the targets.
    ///
    /// # Errors
    /// `edges` has another shape.
    pub fn new(edges: &Tensor, n_nodes: i64) -> Result<Self> {
        Ok(Self { source: edges.f_select(0, 0)?, target: edges.f_select(0, 1)?, n_nodes })
    }

    /// Creates a graph with edges from parents to children.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn top_down(trees: &Trees) -> Result<Self> {
        Self::new(&trees.edges, trees.n_nodes())
    }

    /// Creates a graph with edges in both directions.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn undirected(trees: &Trees) -> Result<Self> {
        let Self { source, target, n_nodes } = Self::top_down(trees)?;
        Ok(Self {
            source: Tensor::f_cat(&[&source, &target], 0)?,
            target: Tensor::f_cat(&[&target, &source], 0)?,
            n_nodes,
        })
    }

    /// Returns the graph with reversed edges.
    pub fn reversed(self) -> Self {
        Self { source: self.target, target: self.source, n_nodes: self.n_nodes }
    }

    /// Returns the in-degree of each node, `[n_nodes]` of `kind`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn in_degrees(&self, kind: Kind) -> Result<Tensor> {
        Ok(self.target.f_bincount::<Tensor>(None, self.n_nodes)?.f_to_kind(kind)?)
    }

    /// Returns the sum of `x` `[n_nodes, n]` over the in-neighbors of each node, `[n_nodes, n]`.
    ///
    /// # Errors
    /// `x` does not have a row for each node.
    pub fn aggregate(&self, x: &Tensor) -> Result<Tensor> {
        self.scatter_sum(&x.f_index_select(0, &self.source)?)
    }

    /// Sums `messages` `[n_edges, ..]` by target node, `[n_nodes, ..]`.
    ///
    /// # Errors
    /// The number of messages is not the number of edges.
    pub fn scatter_sum(&self, messages: &Tensor) -> Result<Tensor> {
        let mut shape = messages.size();
        shape[0] = self.n_nodes;
        let zeros = Tensor::f_zeros(shape, (messages.kind(), messages.device()))?;
        Ok(zeros.f_index_add(0, &self.target, messages)?)
    }

    /// Returns the maximum of `values` `[n_edges]` by target node, -∞ for nodes without incoming edges.
    pub(super) fn scatter_max(&self, values: &Tensor) -> Result<Tensor> {
        let order = self.target.f_argsort(0, false)?;
        let counts = Some(self.target.f_bincount::<Tensor>(None, self.n_nodes)?);
        let sorted = values.f_index_select(0, &order)?;
        Ok(Tensor::f_segment_reduce(&sorted, "max", counts, None, None, 0, false, f64::NEG_INFINITY)?)
    }
}

/// Returns the mean of `x` `[n_nodes, n]` over each tree, `[n_trees, n]`.
///
/// # Errors
/// `x` does not have a row for each node.
pub fn mean_pool(x: &Tensor, trees: &Trees) -> Result<Tensor> {
    let sizes = trees.sizes.f_to_kind(x.kind())?.f_unsqueeze(1)?;
    Ok(sum_pool(x, trees)?.f_div(&sizes)?)
}

/// Returns the maximum of `x` `[n_nodes, n]` over each tree, `[n_trees, n]`; the gradient is divided equally between tied
/// nodes.
///
/// # Errors
/// `x` does not have a row for each node.
pub fn max_pool(x: &Tensor, trees: &Trees) -> Result<Tensor> {
    // libtorch 2.13 does not divide negative gradients of `segment_reduce` between ties.
    let shares = tch::no_grad(|| -> Result<Tensor> {
        let (sizes, none) = (Some(&trees.sizes), None);
        let largest = Tensor::f_segment_reduce(x, "max", sizes, none, none, 0, false, f64::NEG_INFINITY)?;
        let is_largest = x.f_eq_tensor(&largest.f_index_select(0, &trees.tree_ids)?)?.f_to_kind(x.kind())?;
        let counts = sum_pool(&is_largest, trees)?;
        Ok(is_largest.f_div(&counts.f_index_select(0, &trees.tree_ids)?)?)
    })?;
    sum_pool(&x.f_mul(&shares)?, trees)
}

/// Returns the sum over each tree; `index_add` and its gradient are several times as fast as `segment_reduce`.
fn sum_pool(x: &Tensor, trees: &Trees) -> Result<Tensor> {
    let zeros = Tensor::f_zeros([trees.n_trees(), x.size()[1]], (x.kind(), x.device()))?;
    Ok(zeros.f_index_add(0, &trees.tree_ids, x)?)
}
