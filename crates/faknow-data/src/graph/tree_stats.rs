//! What is in a set of propagation trees: how many, how deep, how wide, how alike.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use hashbrown::HashMap;
use serde::Serialize;

use super::Tree;
use crate::inspect::LengthStats;

/// What is in a set of propagation trees.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeStats {
    /// Number of trees.
    pub n_trees: usize,
    /// Number of nodes of all trees.
    pub n_nodes: usize,
    /// Features of a node.
    pub n_features: usize,
    /// Mean number of a node's features that are not zero.
    pub entries_per_node: f64,
    /// Number of trees of each class, by its number; `None` for those without label.
    pub classes: Vec<(Option<usize>, usize)>,
    /// Nodes of a tree.
    pub sizes: Option<LengthStats>,
    /// Steps from the root to the farthest node.
    pub depths: Option<LengthStats>,
    /// The most nodes at one depth.
    pub breadths: Option<LengthStats>,
    /// Trees of one node.
    pub n_single: usize,
    /// Events, where they are known.
    pub n_events: usize,
    /// Trees that share their event with another tree: a random split puts many of them on both sides.
    pub n_in_shared_events: usize,
    /// Events whose trees are of several classes.
    pub n_mixed_events: usize,
    /// Trees whose shape and features another tree has too.
    pub n_duplicates: usize,
}

impl TreeStats {
    /// Computes the statistics of these trees.
    pub fn new(trees: &[Tree]) -> Self {
        let lengths = |of: &dyn Fn(&Tree) -> usize| {
            LengthStats::from_values(trees.iter().map(|tree| of(tree) as u32).collect())
        };
        let n_nodes: usize = trees.iter().map(Tree::n_nodes).sum();
        let n_entries: usize = trees.iter().map(|tree| tree.features().n_entries()).sum();
        let mut classes = BTreeMap::new();
        let mut events: HashMap<&str, (usize, Option<usize>, bool)> = HashMap::new();
        let mut alike: HashMap<u64, usize> = HashMap::new();
        for tree in trees {
            *classes.entry(tree.label()).or_insert(0) += 1;
            if let Some(event) = tree.event() {
                let (n, label, mixed) = events.entry(event).or_insert((0, tree.label(), false));
                *n += 1;
                *mixed |= *label != tree.label();
            }
            *alike.entry(tree.content()).or_insert(0) += 1;
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
            n_mixed_events: events.values().filter(|(_, _, mixed)| *mixed).count(),
            n_duplicates: alike.into_values().filter(|&n| n > 1).sum(),
        }
    }
}

impl Display for TreeStats {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "trees       {}, {} of a single node", self.n_trees, self.n_single)?;
        writeln!(
            out,
            "nodes       {}, {} features each, {:.1} of them not zero",
            self.n_nodes, self.n_features, self.entries_per_node
        )?;
        for (name, lengths) in [("size", self.sizes), ("depth", self.depths), ("breadth", self.breadths)] {
            let Some(LengthStats { min, median, mean, p95, max }) = lengths else { continue };
            writeln!(
                out,
                "{name:<12}min {min}, median {median}, mean {mean:.1}, 95 % up to {p95}, max {max}"
            )?;
        }
        if self.n_events > 0 {
            writeln!(
                out,
                "events      {}, {} trees share theirs with another tree{}",
                self.n_events,
                self.n_in_shared_events,
                if self.n_in_shared_events > 0 { ": split by event for an honest measure" } else { "" }
            )?;
            if self.n_mixed_events > 0 {
                writeln!(out, "            {} events have trees of several classes", self.n_mixed_events)?;
            }
        }
        write!(out, "duplicates  {} trees have the shape and features of another", self.n_duplicates)
    }
}
