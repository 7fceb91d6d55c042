//! The edges that messages go along, and what a node does with those that reach it.

use faknow_data::graph::Trees;
use tch::{Kind, Tensor};

use crate::Result;

/// Directed edges between the nodes of a trees.
#[derive(Debug)]
pub struct Graph {
    /// Where each edge begins, i64 `[n_edges]`.
    pub source: Tensor,
    /// Where each edge ends, i64 `[n_edges]`.
    pub target: Tensor,
    /// Number of nodes.
    pub n_nodes: i64,
}

impl Graph {
    /// Returns the edges `[2, n_edges]`, row 0 the sources, row 1 the targets.
    ///
    /// # Errors
    /// `edges` has another shape.
    pub fn new(edges: &Tensor, n_nodes: i64) -> Result<Self> {
        Ok(Self { source: edges.f_select(0, 0)?, target: edges.f_select(0, 1)?, n_nodes })
    }

    /// Messages go from parents to children.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn top_down(trees: &Trees) -> Result<Self> {
        Self::new(&trees.edges, trees.n_nodes())
    }

    /// Messages go both ways.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn undirected(trees: &Trees) -> Result<Self> {
        let Self { source, target, n_nodes } = Self::top_down(trees)?;
        Ok(Self {
            source: Tensor::f_cat(&[&source, &target], 0)?,
            target: Tensor::f_cat(&[&target, &source], 0)?,
            n_nodes,
        })
    }

    /// Returns the same edges the other way round.
    pub fn reversed(self) -> Self {
        Self { source: self.target, target: self.source, n_nodes: self.n_nodes }
    }

    /// Returns the number of edges that end at each node, `[n_nodes]` of `kind`.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub fn in_degrees(&self, kind: Kind) -> Result<Tensor> {
        Ok(self.target.f_bincount::<Tensor>(None, self.n_nodes)?.f_to_kind(kind)?)
    }

    /// Returns the sum of the messages that reach each node: `x` `[n_nodes, n]` at the sources, to `[n_nodes, n]`.
    ///
    /// # Errors
    /// `x` does not have a row for each node.
    pub fn aggregate(&self, x: &Tensor) -> Result<Tensor> {
        self.scatter_sum(&x.f_index_select(0, &self.source)?)
    }

    /// Returns the sum of `messages`, one for each edge, at each node.
    ///
    /// # Errors
    /// There is not a message for each edge.
    pub fn scatter_sum(&self, messages: &Tensor) -> Result<Tensor> {
        let mut shape = messages.size();
        shape[0] = self.n_nodes;
        let none = Tensor::f_zeros(shape, (messages.kind(), messages.device()))?;
        Ok(none.f_index_add(0, &self.target, messages)?)
    }

    /// The largest of `values` `[n_edges]` at each node, -∞ where no edge ends.
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

/// Returns the maximum of `x` `[n_nodes, n]` over each tree, `[n_trees, n]`; its gradient goes in equal shares to all nodes that
/// have it.
///
/// # Errors
/// `x` does not have a row for each node.
pub fn max_pool(x: &Tensor, trees: &Trees) -> Result<Tensor> {
    // libtorch's own gradient of the maximum does not divide what is negative among equal values (libtorch 2.13).
    let shares = tch::no_grad(|| -> Result<Tensor> {
        let (sizes, none) = (Some(&trees.sizes), None);
        let largest = Tensor::f_segment_reduce(x, "max", sizes, none, none, 0, false, f64::NEG_INFINITY)?;
        let has_it = x.f_eq_tensor(&largest.f_index_select(0, &trees.tree_ids)?)?.f_to_kind(x.kind())?;
        let counts = sum_pool(&has_it, trees)?;
        Ok(has_it.f_div(&counts.f_index_select(0, &trees.tree_ids)?)?)
    })?;
    sum_pool(&x.f_mul(&shares)?, trees)
}

/// The sum over each tree: rows are added one after the other, which is several times as fast as libtorch's fold of
/// segments, and so is its gradient.
fn sum_pool(x: &Tensor, trees: &Trees) -> Result<Tensor> {
    let none = Tensor::f_zeros([trees.n_trees(), x.size()[1]], (x.kind(), x.device()))?;
    Ok(none.f_index_add(0, &trees.tree_ids, x)?)
}
