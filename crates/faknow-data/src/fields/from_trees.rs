//! Datasets of propagation trees.

use std::collections::HashSet;
use std::sync::Arc;

use super::dataset::{Columns, FieldDataset};
use crate::graph::{Tree, TreeColumn};
use crate::records::check_class_index;
use crate::{Error, Result};

impl FieldDataset {
    /// Creates a dataset of trees with their labels and ids.
    ///
    /// # Errors
    /// [`Error::Dataset`]: only some trees are labeled, their numbers of features differ, or an id occurs twice.
    ///
    /// ```
    /// use faknow_data::graph::{SparseRows, Tree};
    /// use faknow_data::{Dataset, FieldDataset};
    ///
    /// let pair = Tree::new("a", vec![None, Some(0)], SparseRows::empty(2, 10))?.with_label(0);
    /// let single = Tree::new("b", vec![None], SparseRows::empty(1, 10))?.with_label(1);
    /// let batch = FieldDataset::from_trees(vec![pair, single])?.batch(&[1, 0])?;
    /// let trees = batch.trees()?;
    /// assert_eq!(Vec::<i64>::try_from(&trees.roots)?, [0, 1]);
    /// assert_eq!(trees.edges.size(), [2, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_trees(trees: Vec<Tree>) -> Result<Self> {
        let n_trees = trees.len();
        let mut column = TreeColumn::new(trees.first().map_or(0, |tree| tree.features().n_features()));
        let mut seen = HashSet::new();
        if let Some(duplicate) = trees.iter().find(|tree| !seen.insert(tree.id())) {
            return Err(Error::Dataset(format!("tree `{}`: duplicate id", duplicate.id())));
        }
        let (mut labels, mut ids) = (Vec::new(), Vec::with_capacity(n_trees));
        // Each tree is dropped once it is copied, so that memory never holds two copies of all trees.
        for (index, tree) in trees.into_iter().enumerate() {
            let error = |message: &str| Error::Dataset(format!("tree `{}`: {message}", tree.id()));
            column.push(&tree)?;
            if (labels.len() == index) != tree.label().is_some() && index > 0 {
                return Err(error("expected all trees to be labeled or none"));
            }
            if let Some(label) = tree.label() {
                labels.push(check_class_index(label).map_err(|message| error(&message))?);
            }
            ids.push(tree.id().to_owned());
        }
        Ok(Self::new(Columns {
            n_rows: n_trees,
            labels: Arc::new(labels),
            ids: Arc::new(ids),
            trees: Some(Arc::new(column)),
            ..Columns::default()
        }))
    }
}
