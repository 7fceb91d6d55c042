//! Propagation trees: a source post with its direct and indirect replies and reposts.

use super::SparseRows;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// A propagation tree with the features of its nodes.
///
/// Nodes are numbered from 0 in any order; a parent may follow its children.
///
/// ```
/// use faknow_data::graph::{SparseRows, Tree};
///
/// let mut words = SparseRows::new(5000);
/// for row in [&[(17, 2.0), (4, 1.0)][..], &[(17, 1.0)], &[]] {
///     words.push(row.iter().copied())?;
/// }
/// let tree = Tree::new("1042", vec![None, Some(0), Some(1)], words)?.with_label(1);
/// assert_eq!((tree.n_nodes(), tree.root(), tree.depth()), (3, 0, 2));
/// assert!(Tree::new("7", vec![Some(1), Some(0)], SparseRows::empty(2, 5000)).is_err());
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    id: String,
    label: Option<usize>,
    event: Option<String>,
    parents: Vec<Option<u32>>,
    root: u32,
    depths: Vec<u32>,
    features: SparseRows,
}

impl Tree {
    /// Creates a tree from the parent of each node, `None` for the root, and the features of each node.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the tree has no nodes, no root or several roots, a parent that is not a node, a cycle, or a number of
    /// feature rows that differs from the number of nodes.
    pub fn new(id: impl Into<String>, parents: Vec<Option<u32>>, features: SparseRows) -> Result<Self> {
        let id = id.into();
        let (root, depths) =
            check(&parents).map_err(|message| Error::Dataset(format!("tree `{id}`: {message}")))?;
        if features.n_rows() != parents.len() {
            let (rows, nodes) = (features.n_rows(), parents.len());
            return Err(Error::Dataset(format!(
                "tree `{id}`: expected {nodes} rows of features, one per node, got {rows}"
            )));
        }
        Ok(Self { id, label: None, event: None, parents, root, depths, features })
    }

    /// Returns the tree with this class index.
    pub fn with_label(mut self, label: usize) -> Self {
        self.label = Some(label);
        self
    }

    /// Returns the tree with the event that it belongs to; trees of one event should be in the same split.
    pub fn with_event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// Returns the id of the tree.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the class index, if the tree is labeled.
    pub fn label(&self) -> Option<usize> {
        self.label
    }

    /// Returns the event that the tree belongs to, if known.
    pub fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    /// Returns the number of nodes, at least 1.
    pub fn n_nodes(&self) -> usize {
        self.parents.len()
    }

    /// Returns the parent of each node; `None` for the root.
    pub fn parents(&self) -> &[Option<u32>] {
        &self.parents
    }

    /// Returns the index of the root.
    pub fn root(&self) -> usize {
        self.root as usize
    }

    /// Returns the number of edges from the root to each node.
    pub fn depths(&self) -> &[u32] {
        &self.depths
    }

    /// Returns the maximum number of edges from the root to a node; 0 for a single node.
    pub fn depth(&self) -> usize {
        self.depths.iter().max().map_or(0, |&depth| depth as usize)
    }

    /// Returns the maximum number of nodes at the same depth.
    pub fn breadth(&self) -> usize {
        let mut counts = vec![0; self.depth() + 1];
        self.depths.iter().for_each(|&depth| counts[depth as usize] += 1);
        counts.into_iter().max().unwrap_or(0)
    }

    /// Returns the features of each node.
    pub fn features(&self) -> &SparseRows {
        &self.features
    }

    /// Returns a hash of the shape and the features, without the id.
    pub(super) fn content_hash(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        for (node, parent) in self.parents.iter().enumerate() {
            fingerprint.add(parent.map_or(u64::MAX, u64::from));
            let (columns, values) = self.features.row(node);
            fingerprint.add(columns.len() as u64);
            for (&column, value) in columns.iter().zip(values) {
                fingerprint.add(u64::from(column) << 32 | u64::from(value.to_bits()));
            }
        }
        fingerprint.finish()
    }

    pub(super) fn features_mut(&mut self) -> &mut SparseRows {
        &mut self.features
    }
}

/// Returns the root and the depth of each node, or an error message.
fn check(parents: &[Option<u32>]) -> std::result::Result<(u32, Vec<u32>), String> {
    if parents.is_empty() || parents.len() > i32::MAX as usize {
        return Err(format!("expected 1 to {} nodes, got {}", i32::MAX, parents.len()));
    }
    let roots: Vec<usize> =
        parents.iter().enumerate().filter(|(_, parent)| parent.is_none()).map(|(node, _)| node).collect();
    let root = match roots[..] {
        [root] => root,
        [] => return Err("expected one root, got none: every node has a parent".to_owned()),
        [first, second, ..] => {
            return Err(format!(
                "expected one root, got {}: nodes {first} and {second} have no parent",
                roots.len()
            ));
        }
    };
    if let Some((node, parent)) = parents
        .iter()
        .enumerate()
        .find_map(|(node, parent)| parent.filter(|&p| p as usize >= parents.len()).map(|p| (node, p)))
    {
        return Err(format!(
            "node {node}: expected a parent below {}, the number of nodes, got {parent}",
            parents.len()
        ));
    }
    const UNKNOWN: u32 = u32::MAX;
    let mut depths = vec![UNKNOWN; parents.len()];
    depths[root] = 0;
    let mut path = Vec::new();
    for start in 0..parents.len() {
        let mut node = start;
        while depths[node] == UNKNOWN {
            path.push(node);
            // Only the root has no parent, and its depth is known.
            node = parents[node].unwrap_or_default() as usize;
            if path.len() > parents.len() {
                return Err(format!("node {start} is part of a cycle or a descendant of one"));
            }
        }
        let mut depth = depths[node];
        while let Some(node) = path.pop() {
            depth += 1;
            depths[node] = depth;
        }
    }
    Ok((root as u32, depths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_rejects_invalid_trees() {
        let check = |parents: &[Option<u32>], expected: &str| {
            let features = SparseRows::empty(parents.len(), 3);
            let error = Tree::new("t", parents.to_vec(), features).unwrap_err().to_string();
            assert_eq!(error, format!("tree `t`: {expected}"), "{parents:?}");
        };
        check(&[], "expected 1 to 2147483647 nodes, got 0");
        check(&[Some(1), Some(0)], "expected one root, got none: every node has a parent");
        check(&[None, None, Some(0)], "expected one root, got 2: nodes 0 and 1 have no parent");
        check(&[None, Some(7)], "node 1: expected a parent below 2, the number of nodes, got 7");
        check(&[None, Some(2), Some(1)], "node 1 is part of a cycle or a descendant of one");
        check(&[None, Some(1)], "node 1 is part of a cycle or a descendant of one");
        check(
            &[None, Some(0), Some(3), Some(4), Some(3)],
            "node 2 is part of a cycle or a descendant of one",
        );
        let error = Tree::new("t", vec![None], SparseRows::empty(2, 3)).unwrap_err().to_string();
        assert_eq!(error, "tree `t`: expected 1 rows of features, one per node, got 2");
    }

    #[test]
    fn depth_and_breadth_do_not_depend_on_node_order() {
        let check = |parents: &[Option<u32>], depths: &[u32], breadth: usize| {
            let tree = Tree::new("t", parents.to_vec(), SparseRows::empty(parents.len(), 1)).unwrap();
            assert_eq!(tree.depths(), depths);
            assert_eq!(tree.breadth(), breadth);
        };
        check(&[None], &[0], 1);
        check(&[None, Some(0), Some(0), Some(1)], &[0, 1, 1, 2], 2);
        check(&[Some(1), Some(2), Some(3), None], &[3, 2, 1, 0], 1);
        check(&[Some(3), Some(3), Some(0), None], &[1, 1, 2, 0], 2);
    }
}
