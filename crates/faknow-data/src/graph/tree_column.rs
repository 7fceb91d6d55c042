//! The propagation trees of all samples, with concatenated nodes.

use tch::Tensor;

use super::{NodeFeatures, SparseFeatures, SparseRows, Tree, Trees};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// Fraction of nonzero entries above which batches have dense features.
const MIN_DENSE_FRACTION: f64 = 0.25;

/// The trees of all samples.
#[derive(Debug)]
pub(crate) struct TreeColumn {
    /// The end of the nodes of each tree.
    ends: Vec<usize>,
    /// Parent of each node, relative to the first node of its tree; that of the root is the root itself.
    parents: Vec<u32>,
    roots: Vec<u32>,
    features: SparseRows,
    /// Hash of the content of each tree.
    hashes: Vec<u64>,
}

impl TreeColumn {
    /// Creates a column without trees, with `n_features` features per node.
    pub(crate) fn new(n_features: usize) -> Self {
        let features = SparseRows::new(n_features);
        Self { ends: Vec::new(), parents: Vec::new(), roots: Vec::new(), features, hashes: Vec::new() }
    }

    /// Appends a tree.
    ///
    /// # Errors
    /// The number of features per node differs from that of the first tree.
    pub(crate) fn push(&mut self, tree: &Tree) -> Result<()> {
        let (expected, got) = (self.n_features(), tree.features().n_features());
        if got != expected {
            return Err(Error::Dataset(format!(
                "tree `{}`: expected {expected} features per node as in the first tree, got {got}",
                tree.id()
            )));
        }
        let nodes = tree.parents().iter().enumerate();
        self.parents.extend(nodes.map(|(node, parent)| parent.unwrap_or(node as u32)));
        self.ends.push(self.parents.len());
        self.roots.push(tree.root() as u32);
        self.features.append(tree.features());
        self.hashes.push(tree.content_hash());
        Ok(())
    }

    /// Returns the number of features per node.
    pub(crate) fn n_features(&self) -> usize {
        self.features.n_features()
    }

    /// Returns the indices of the features of all nodes of a tree that are not 0, node by node.
    pub(crate) fn columns(&self, row: usize) -> impl Iterator<Item = &u32> {
        (self.start(row)..self.ends[row]).flat_map(|node| self.features.row(node).0)
    }

    /// Returns a hash of the shape and the features of a tree.
    pub(crate) fn hash(&self, row: usize) -> u64 {
        self.hashes[row]
    }

    /// Returns the trees at `rows` as one graph.
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
        let n_values = self.features.n_rows() * self.n_features();
        self.features.n_entries() as f64 > MIN_DENSE_FRACTION * n_values as f64
    }
}

impl Column for TreeColumn {
    fn n_rows(&self) -> usize {
        self.ends.len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add(self.n_features() as u64);
        self.hashes.iter().for_each(|&hash| fingerprint.add(hash));
    }

    fn size(&self, row: usize) -> usize {
        self.ends[row] - self.start(row)
    }
}
