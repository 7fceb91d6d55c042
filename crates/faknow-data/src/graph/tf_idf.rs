//! TF-IDF weighting of word counts.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Tree;
use crate::{Error, Result};

/// A transformation of the word counts of nodes into L2-normalized TF-IDF weights.
///
/// A count c of a word becomes (1 + ln c) · (1 + ln((1 + n) / (1 + d))), where d of the n trees of the training data contain the
/// word; then the values of each node are divided by their L2 norm. This equals scikit-learn's `TfidfTransformer` with
/// `sublinear_tf=True`, where document frequencies count trees and norms are per node. Counts up to 1 (of already weighted
/// features) are used without the logarithm.
///
/// ```
/// use faknow_data::graph::{SparseRows, TfIdf, Tree};
///
/// let tree = |id: &str, word: u32| {
///     let mut words = SparseRows::new(3);
///     words.push([(0, 1.0), (word, 1.0)])?;
///     Tree::new(id, vec![None], words)
/// };
/// let mut trees = [tree("a", 1)?, tree("b", 2)?];
/// let tf_idf = TfIdf::fit(&trees);
/// trees.iter_mut().try_for_each(|tree| tf_idf.apply(tree))?;
/// let (_, values) = trees[0].features().row(0);
/// assert!(values[0] < values[1], "word 0 is in all trees");
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TfIdf {
    /// Inverse document frequency of each feature.
    weights: Vec<f32>,
}

impl TfIdf {
    /// Computes the document frequencies of words in training trees.
    pub fn fit<'a>(trees: impl IntoIterator<Item = &'a Tree>) -> Self {
        let (mut counts, mut n_trees) = (Vec::<u32>::new(), 0u32);
        let mut words = HashSet::<u32>::new();
        for tree in trees {
            n_trees += 1;
            counts.resize(counts.len().max(tree.features().n_features()), 0);
            words.extend((0..tree.n_nodes()).flat_map(|node| tree.features().row(node).0));
            words.drain().for_each(|word| counts[word as usize] += 1);
        }
        let n = f64::from(n_trees);
        let weight = |&count: &u32| (((1.0 + n) / (1.0 + f64::from(count))).ln() + 1.0) as f32;
        Self { weights: counts.iter().map(weight).collect() }
    }

    /// Replaces the features of a tree with TF-IDF weights.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the tree has another number of features, or a negative value. The tree is then partially transformed.
    pub fn apply(&self, tree: &mut Tree) -> Result<()> {
        if tree.features().n_features() != self.weights.len() {
            let (id, expected, got) = (tree.id(), self.weights.len(), tree.features().n_features());
            return Err(Error::Dataset(format!(
                "tree `{id}`: expected {expected} features per node, got {got}"
            )));
        }
        for node in 0..tree.n_nodes() {
            let (columns, values) = tree.features_mut().row_mut(node);
            let mut squares = 0.0f64;
            for (&column, value) in columns.iter().zip(&mut *values) {
                if *value < 0.0 {
                    let (got, id) = (*value, tree.id());
                    return Err(Error::Dataset(format!(
                        "tree `{id}`, node {node}, feature {column}: expected a non-negative count for TF-IDF, got {got}"
                    )));
                }
                let count = if *value > 1.0 { 1.0 + value.ln() } else { *value };
                *value = count * self.weights[column as usize];
                squares += f64::from(*value).powi(2);
            }
            if squares > 0.0 {
                let norm = squares.sqrt() as f32;
                values.iter_mut().for_each(|value| *value /= norm);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::SparseRows;

    fn tree(id: &str, rows: &[&[(u32, f32)]]) -> Tree {
        let mut features = SparseRows::new(4);
        rows.iter().for_each(|row| features.push(row.iter().copied()).unwrap());
        let parents = (0..rows.len()).map(|node| (node > 0).then_some(0)).collect();
        Tree::new(id, parents, features).unwrap()
    }

    #[test]
    fn values_match_scikit_learn() {
        // scikit-learn 1.9: `TfidfTransformer(sublinear_tf=True)` fitted to [[1, 1, 0, 0], [1, 0, 1, 0]] and applied to
        // [[3, 1, 0, 0]].
        let training =
            [tree("a", &[&[(0, 1.0)], &[(0, 2.0), (1, 1.0)]]), tree("b", &[&[(0, 1.0), (2, 1.0)]])];
        let tf_idf = TfIdf::fit(&training);
        let mut one = tree("c", &[&[(0, 3.0), (1, 1.0)], &[], &[(3, 5.0)]]);
        tf_idf.apply(&mut one).unwrap();
        let (_, values) = one.features().row(0);
        for (value, expected) in values.iter().zip([0.830_880_75f32, 0.556_450_5]) {
            assert!((value - expected).abs() < 1e-6, "{values:?}");
        }
        assert_eq!(one.features().row(1).1, &[] as &[f32]);
        assert_eq!(one.features().row(2).1, [1.0], "words outside the training data are weighted too");
    }

    #[test]
    fn apply_rejects_negative_counts_and_other_widths() {
        let tf_idf = TfIdf::fit(&[tree("a", &[&[(0, 1.0)]])]);
        let error = tf_idf.apply(&mut tree("b", &[&[], &[(2, -1.0)]])).unwrap_err().to_string();
        assert!(error.starts_with("tree `b`, node 1, feature 2: expected a non-negative count"), "{error}");
        let mut wide = Tree::new("c", vec![None], SparseRows::empty(1, 9)).unwrap();
        let error = tf_idf.apply(&mut wide).unwrap_err().to_string();
        assert_eq!(error, "tree `c`: expected 4 features per node, got 9");
    }
}
