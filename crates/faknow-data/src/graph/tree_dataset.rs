//! Labelled trees, kept compactly, and their batches.

use std::sync::Arc;

use tch::Tensor;

use super::{NodeFeatures, SparseFeatures, SparseRows, Tree, TreeBatch};
use crate::fingerprint::Fingerprint;
use crate::{Dataset, Error, Result};

/// Above this share of entries that are not zero, batches have dense rows.
const DENSE: f64 = 0.25;

/// Propagation trees with their classes; a clone or a [`subset`](Self::subset) shares them.
///
/// ```
/// use faknow_data::Dataset;
/// use faknow_data::graph::{SparseRows, Tree, TreeDataset};
///
/// let pair = Tree::new("a", vec![None, Some(0)], SparseRows::empty(2, 10))?.with_label(0);
/// let single = Tree::new("b", vec![None], SparseRows::empty(1, 10))?.with_label(1);
/// let batch = TreeDataset::new(vec![pair, single])?.batch(&[1, 0])?;
/// assert_eq!(Vec::<i64>::try_from(&batch.roots)?, [0, 1]);
/// assert_eq!(batch.edges.size(), [2, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TreeDataset {
    forest: Arc<Forest>,
    /// Which of the trees this data set has, in which order.
    rows: Arc<[u32]>,
}

/// All trees, their nodes one behind the other.
#[derive(Debug)]
struct Forest {
    ids: Vec<String>,
    events: Vec<Option<String>>,
    /// Empty if the trees are not labelled.
    labels: Vec<u32>,
    /// Behind the last node of each tree.
    ends: Vec<usize>,
    /// Parent of each node, counted from the first of its tree; the root is its own.
    parents: Vec<u32>,
    roots: Vec<u32>,
    features: SparseRows,
    is_dense: bool,
}

impl TreeDataset {
    /// A data set of these trees.
    ///
    /// # Errors
    /// [`Error::Dataset`]: some trees have a label and others none, their features are not equally wide, or an id
    /// comes twice.
    pub fn new(trees: Vec<Tree>) -> Result<Self> {
        let n_features = trees.first().map_or(0, |tree| tree.features().n_features());
        let mut forest = Forest {
            ids: Vec::with_capacity(trees.len()),
            events: Vec::with_capacity(trees.len()),
            labels: Vec::new(),
            ends: Vec::with_capacity(trees.len()),
            parents: Vec::new(),
            roots: Vec::with_capacity(trees.len()),
            features: SparseRows::new(n_features),
            is_dense: false,
        };
        let mut ids = std::collections::HashSet::new();
        if let Some(twice) = trees.iter().find(|tree| !ids.insert(tree.id())) {
            return Err(Error::Dataset(format!("tree `{}`: its id comes twice", twice.id())));
        }
        // Each tree goes once it is taken over, so that no two copies of all are in memory.
        for (index, tree) in trees.into_iter().enumerate() {
            let error = |message: String| Err(Error::Dataset(format!("tree `{}`: {message}", tree.id())));
            if tree.features().n_features() != n_features {
                let got = tree.features().n_features();
                return error(format!(
                    "expected {n_features} features a node as in the first tree, got {got}"
                ));
            }
            if (forest.labels.len() == index) != tree.label().is_some() && index > 0 {
                return error("expected all trees to be labelled or none".to_owned());
            }
            forest.labels.extend(tree.label().map(|label| label as u32));
            let own = tree.parents().iter().enumerate();
            forest.parents.extend(own.map(|(node, parent)| parent.unwrap_or(node as u32)));
            forest.ends.push(forest.parents.len());
            forest.roots.push(tree.root() as u32);
            forest.features.append(tree.features());
            forest.ids.push(tree.id().to_owned());
            forest.events.push(tree.event().map(str::to_owned));
        }
        let places = forest.features.n_rows() * n_features;
        forest.is_dense = forest.features.n_entries() as f64 > DENSE * places as f64;
        let rows = (0..forest.ids.len() as u32).collect();
        Ok(Self { forest: Arc::new(forest), rows })
    }

    /// The trees at `indices`, in that order; they are shared, not copied.
    ///
    /// # Errors
    /// An index is not below the number of trees.
    pub fn subset(&self, indices: &[usize]) -> Result<Self> {
        let rows =
            indices.iter().map(|&index| self.row(index).map(|row| row as u32)).collect::<Result<_>>()?;
        Ok(Self { rows, ..self.clone() })
    }

    /// The id of each tree.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|&row| self.forest.ids[row as usize].as_str())
    }

    /// The event of each tree, where it is known.
    pub fn events(&self) -> impl Iterator<Item = Option<&str>> {
        self.rows.iter().map(|&row| self.forest.events[row as usize].as_deref())
    }

    /// Width of a node's features.
    pub fn n_features(&self) -> usize {
        self.forest.features.n_features()
    }

    /// Number of nodes of all trees.
    pub fn n_nodes(&self) -> usize {
        (0..self.n_samples()).map(|index| self.length(index)).sum()
    }

    fn row(&self, index: usize) -> Result<usize> {
        self.rows.get(index).map(|&row| row as usize).ok_or_else(|| {
            let n = self.n_samples();
            Error::Dataset(format!("index {index} is out of range: the data set has {n} samples"))
        })
    }
}

impl Forest {
    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] }
    }

    /// The features of these ranges of nodes.
    fn features(&self, rows: &[usize]) -> Result<NodeFeatures> {
        let nodes = || rows.iter().flat_map(|&row| self.start(row)..self.ends[row]);
        let n_features = self.features.n_features();
        if self.is_dense {
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
}

impl Dataset for TreeDataset {
    type Batch = TreeBatch;

    fn n_samples(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, indices: &[usize]) -> Result<TreeBatch> {
        let forest = &*self.forest;
        let rows: Vec<usize> = indices.iter().map(|&index| self.row(index)).collect::<Result<_>>()?;
        let (mut from, mut to, mut trees) = (Vec::new(), Vec::new(), Vec::new());
        let (mut roots, mut sizes, mut first) = (Vec::new(), Vec::new(), 0i64);
        for (tree, &row) in rows.iter().enumerate() {
            let parents = &forest.parents[forest.start(row)..forest.ends[row]];
            let root = forest.roots[row] as usize;
            for (node, &parent) in parents.iter().enumerate().filter(|(node, _)| *node != root) {
                from.push(first + i64::from(parent));
                to.push(first + node as i64);
            }
            trees.resize(trees.len() + parents.len(), tree as i64);
            roots.push(first + root as i64);
            sizes.push(parents.len() as i64);
            first += parents.len() as i64;
        }
        let n_edges = from.len() as i64;
        from.append(&mut to);
        let labels = (!forest.labels.is_empty())
            .then(|| rows.iter().map(|&row| i64::from(forest.labels[row])).collect::<Vec<_>>());
        Ok(TreeBatch {
            features: forest.features(&rows)?,
            edges: Tensor::f_from_slice(&from)?.f_view([2, n_edges])?,
            trees: Tensor::f_from_slice(&trees)?,
            roots: Tensor::f_from_slice(&roots)?,
            sizes: Tensor::f_from_slice(&sizes)?,
            labels: labels.map(|labels| Tensor::f_from_slice(&labels)).transpose()?,
            indices: indices.to_vec(),
        })
    }

    fn length(&self, index: usize) -> usize {
        self.row(index).map_or(0, |row| self.forest.ends[row] - self.forest.start(row))
    }

    fn fingerprint(&self) -> Option<u64> {
        let forest = &*self.forest;
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(self.n_features() as u64);
        for &row in self.rows.iter() {
            let row = row as usize;
            fingerprint.add_str(&forest.ids[row]);
            fingerprint.add(forest.labels.get(row).map_or(u64::MAX, |&label| u64::from(label)));
            for node in forest.start(row)..forest.ends[row] {
                fingerprint.add(u64::from(forest.parents[node]));
                let (columns, values) = forest.features.row(node);
                fingerprint.add(columns.len() as u64);
                for (&column, value) in columns.iter().zip(values) {
                    fingerprint.add(u64::from(column) << 32 | u64::from(value.to_bits()));
                }
            }
        }
        Some(fingerprint.finish())
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.forest.labels.get(self.row(index).ok()?).map(|&label| label as usize)
    }
}
