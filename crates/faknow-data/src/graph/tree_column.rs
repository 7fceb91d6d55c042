//! The propagation trees of all samples, their nodes one after the other.

use tch::Tensor;

use super::{NodeFeatures, SparseFeatures, SparseRows, Tree, Trees};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// Above this share of entries that are not zero, batches have dense rows.
const DENSE: f64 = 0.25;

/// All trees.
#[derive(Debug)]
pub(crate) struct TreeColumn {
    /// After the last node of each tree.
    ends: Vec<usize>,
    /// Parent of each node, counted from the first of its tree; the root is its own.
    parents: Vec<u32>,
    roots: Vec<u32>,
    features: SparseRows,
    /// Another number for any other trees.
    content: u64,
}

impl TreeColumn {
    /// Creates a column without trees, whose nodes are to have `n_features` each.
    pub(crate) fn new(n_features: usize) -> Self {
        let features = SparseRows::new(n_features);
        Self { ends: Vec::new(), parents: Vec::new(), roots: Vec::new(), features, content: 0 }
    }

    /// Appends a tree.
    ///
    /// # Errors
    /// The nodes have another number of features than those of the first tree.
    pub(crate) fn push(&mut self, tree: &Tree) -> Result<()> {
        let (expected, got) = (self.n_features(), tree.features().n_features());
        if got != expected {
            return Err(Error::Dataset(format!(
                "tree `{}`: expected {expected} features a node as in the first tree, got {got}",
                tree.id()
            )));
        }
        let own = tree.parents().iter().enumerate();
        self.parents.extend(own.map(|(node, parent)| parent.unwrap_or(node as u32)));
        self.ends.push(self.parents.len());
        self.roots.push(tree.root() as u32);
        self.features.append(tree.features());
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(self.content);
        fingerprint.add(tree.content());
        self.content = fingerprint.finish();
        Ok(())
    }

    /// Returns the width of a node's features.
    pub(crate) fn n_features(&self) -> usize {
        self.features.n_features()
    }

    /// Returns the trees at `rows`.
    pub(crate) fn collate(&self, rows: &[usize]) -> Result<Trees> {
        let (mut from, mut to, mut tree_ids) = (Vec::new(), Vec::new(), Vec::new());
        let (mut roots, mut sizes, mut first) = (Vec::new(), Vec::new(), 0i64);
        for (tree, &row) in rows.iter().enumerate() {
            let parents = &self.parents[self.start(row)..self.ends[row]];
            let root = self.roots[row] as usize;
            for (node, &parent) in parents.iter().enumerate().filter(|(node, _)| *node != root) {
                from.push(first + i64::from(parent));
                to.push(first + node as i64);
            }
            tree_ids.resize(tree_ids.len() + parents.len(), tree as i64);
            roots.push(first + root as i64);
            sizes.push(parents.len() as i64);
            first += parents.len() as i64;
        }
        let n_edges = from.len() as i64;
        from.append(&mut to);
        Ok(Trees {
            features: self.features(rows)?,
            edges: Tensor::f_from_slice(&from)?.f_view([2, n_edges])?,
            tree_ids: Tensor::f_from_slice(&tree_ids)?,
            roots: Tensor::f_from_slice(&roots)?,
            sizes: Tensor::f_from_slice(&sizes)?,
        })
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] }
    }

    /// Returns the features of the nodes of the trees at `rows`.
    fn features(&self, rows: &[usize]) -> Result<NodeFeatures> {
        let nodes = || rows.iter().flat_map(|&row| self.start(row)..self.ends[row]);
        let n_features = self.features.n_features();
        if self.is_dense() {
            let n_nodes = nodes().count();
            let mut dense = vec![0.0f32; n_nodes * n_features];
            for (into, node) in dense.chunks_exact_mut(n_features.max(1)).zip(nodes()) {
                let (columns, values) = self.features.row(node);
                columns.iter().zip(values).for_each(|(&column, &value)| into[column as usize] += value);
            }
            let shape = [n_nodes as i64, n_features as i64];
            return Ok(NodeFeatures::Dense(Tensor::f_from_slice(&dense)?.f_view(shape)?));
        }
        let (mut columns, mut values, mut offsets) = (Vec::new(), Vec::new(), vec![0i32]);
        for node in nodes() {
            let (row_columns, row_values) = self.features.row(node);
            columns.extend(row_columns.iter().map(|&column| column as i32));
            values.extend_from_slice(row_values);
            offsets.push(columns.len() as i32);
        }
        Ok(NodeFeatures::Sparse(SparseFeatures {
            columns: Tensor::f_from_slice(&columns)?,
            offsets: Tensor::f_from_slice(&offsets)?,
            values: Tensor::f_from_slice(&values)?,
            n_features: n_features as i64,
        }))
    }

    fn is_dense(&self) -> bool {
        let places = self.features.n_rows() * self.n_features();
        self.features.n_entries() as f64 > DENSE * places as f64
    }
}

impl Column for TreeColumn {
    fn n_rows(&self) -> usize {
        self.ends.len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add(self.n_features() as u64);
        fingerprint.add(self.content);
    }

    fn size(&self, row: usize) -> usize {
        self.ends[row] - self.start(row)
    }
}
