//! Statistics of a set of propagation trees.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use hashbrown::HashMap;
use serde::Serialize;

use super::Tree;
use crate::inspect::LengthStats;

/// Statistics of a set of propagation trees; its `Display` is a plain-text report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeStats {
    /// Number of trees.
    pub n_trees: usize,
    /// Total number of nodes.
    pub n_nodes: usize,
    /// Number of features per node.
    pub n_features: usize,
    /// Mean number of nonzero features per node.
    pub entries_per_node: f64,
    /// Number of trees per class index; `None` for unlabeled trees.
    pub classes: Vec<(Option<usize>, usize)>,
    /// Number of nodes per tree.
    pub sizes: Option<LengthStats>,
    /// Depth per tree: maximum number of edges from the root to a node.
    pub depths: Option<LengthStats>,
    /// Breadth per tree: maximum number of nodes at the same depth.
    pub breadths: Option<LengthStats>,
    /// Number of trees with a single node.
    pub n_single: usize,
    /// Number of known events.
    pub n_events: usize,
    /// Number of trees that share their event with another tree; a random split separates many of them.
    pub n_in_shared_events: usize,
    /// Number of events with trees of several classes.
    pub n_mixed_events: usize,
    /// Number of trees with the same shape and features as another tree.
    pub n_duplicates: usize,
}

impl TreeStats {
    /// Computes the statistics of these trees.
    pub fn new(trees: &[Tree]) -> Self {
        let lengths = |value: &dyn Fn(&Tree) -> usize| {
            LengthStats::from_values(trees.iter().map(|tree| value(tree) as u32).collect())
        };
        let n_nodes: usize = trees.iter().map(Tree::n_nodes).sum();
        let n_entries: usize = trees.iter().map(|tree| tree.features().n_entries()).sum();
        let mut classes = BTreeMap::new();
        let mut events: HashMap<&str, (usize, Option<usize>, bool)> = HashMap::new();
        let mut n_by_content: HashMap<u64, usize> = HashMap::new();
        for tree in trees {
            *classes.entry(tree.label()).or_insert(0) += 1;
            if let Some(event) = tree.event() {
                let (n, label, is_mixed) = events.entry(event).or_insert((0, tree.label(), false));
                *n += 1;
                *is_mixed |= *label != tree.label();
            }
            *n_by_content.entry(tree.content_hash()).or_insert(0) += 1;
        }
        Self {
            n_trees: trees.len(),
            n_nodes,
            n_features: trees.first().map_or(0, |tree| tree.features().n_features()),
            entries_per_node: n_entries as f64 / n_nodes.max(1) as f64,
            classes: classes.into_iter().collect(),
            sizes: lengths(&Tree::n_nodes),
            depths: lengths(&Tree::depth),
            breadths: lengths(&Tree::breadth),
            n_single: trees.iter().filter(|tree| tree.n_nodes() == 1).count(),
            n_events: events.len(),
            n_in_shared_events: events.values().map(|(n, ..)| *n).filter(|&n| n > 1).sum(),
            n_mixed_events: events.values().filter(|(_, _, is_mixed)| *is_mixed).count(),
            n_duplicates: n_by_content.into_values().filter(|&n| n > 1).sum(),
        }
    }
}

impl Display for TreeStats {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "trees       {}, {} with a single node", self.n_trees, self.n_single)?;
        writeln!(
            out,
            "nodes       {}, {} features each, {:.1} of them nonzero",
            self.n_nodes, self.n_features, self.entries_per_node
        )?;
        for (name, lengths) in [("size", self.sizes), ("depth", self.depths), ("breadth", self.breadths)] {
            let Some(LengthStats { min, median, mean, p95, max }) = lengths else { continue };
            writeln!(
                out,
                "{name:<12}min {min}, median {median}, mean {mean:.1}, 95th percentile {p95}, max {max}"
            )?;
        }
        if self.n_events > 0 {
            writeln!(
                out,
                "events      {}, {} trees share their event with another tree{}",
                self.n_events,
                self.n_in_shared_events,
                if self.n_in_shared_events > 0 { ": split by event to avoid leakage" } else { "" }
            )?;
            if self.n_mixed_events > 0 {
                writeln!(out, "            {} events have trees of several classes", self.n_mixed_events)?;
            }
        }
        write!(
            out,
            "duplicates  {} trees have the same shape and features as another tree",
            self.n_duplicates
        )
    }
}
