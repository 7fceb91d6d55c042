//! Trees as BiGCN's and FaKnow's scripts save them: a NumPy archive `<id>.npz` for each.

use std::path::{Path, PathBuf};

use super::bounds::check_width;
use super::npz::Npz;
use super::{SparseRows, Tree};
use crate::records::check_class_number;
use crate::{Error, Result};

/// Reads the trees of these ids from a directory, or all of its `.npz` files in the order of their names.
///
/// Each holds `x` `[n, n_features]`, `edgeindex` (or `edge_index`) `[2, n - 1]` from parents to children, and `y`, its
/// class. What else they hold is not needed.
///
/// # Errors
/// A file cannot be read, or holds no tree: the error names it; the feature `npz` is not enabled.
pub fn read_npz_trees(dir: &Path, ids: Option<&[String]>) -> Result<Vec<Tree>> {
    let files: Vec<PathBuf> = match ids {
        Some(ids) => ids.iter().map(|id| dir.join(format!("{id}.npz"))).collect(),
        None => {
            let entries = std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))?;
            let paths: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
            let mut paths = paths.map_err(|e| Error::io(dir, e))?;
            paths.retain(|path| path.extension().is_some_and(|ending| ending == "npz"));
            paths.sort();
            paths
        }
    };
    if files.is_empty() {
        return Err(Error::file(dir, "the directory holds no tree: expected files `<id>.npz`"));
    }
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Tree> {
    let wrong = |message: String| Error::file(path, message);
    let mut archive = Npz::open(path)?;
    let x = archive.read(&["x"])?;
    let &[n_nodes, n_features] = &x.shape[..] else {
        return Err(wrong(format!("array `x`: expected [nodes, features], got shape {:?}", x.shape)));
    };
    check_width(n_features).map_err(|what| wrong(format!("array `x`: {what}")))?;
    let mut features = SparseRows::new(n_features);
    for row in x.floats().chunks_exact(n_features.max(1)).take(n_nodes) {
        let entries = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
        features
            .push(entries.map(|(column, &value)| (column as u32, value as f32)))
            .map_err(|e| wrong(e.to_string()))?;
    }
    let edges = archive.read(&["edgeindex", "edge_index"])?;
    let n_edges = match edges.shape[..] {
        [2, n_edges] => n_edges,
        // Without an edge, NumPy may forget the shape.
        _ if edges.shape.contains(&0) => 0,
        _ => return Err(wrong(format!("the edges: expected [2, edges], got shape {:?}", edges.shape))),
    };
    let edges = edges.indices().map_err(wrong)?;
    let mut parents = vec![None; n_nodes];
    for edge in 0..n_edges {
        let (parent, child) = (edges[edge], edges[n_edges + edge]);
        let place = parents.get_mut(child).filter(|_| parent < n_nodes).ok_or_else(|| {
            wrong(format!("edge {edge}: nodes {parent} and {child}, and there are {n_nodes}"))
        })?;
        if place.replace(parent as u32).is_some() {
            return Err(wrong(format!("node {child} has a second parent")));
        }
    }
    let label = archive.read(&["y"])?.indices().map_err(wrong)?;
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    let tree = Tree::new(id, parents, features).map_err(|e| wrong(e.to_string()))?;
    Ok(match label.first() {
        Some(&label) => {
            check_class_number(label).map_err(|what| wrong(format!("array `y`: {what}")))?;
            tree.with_label(label)
        }
        None => tree,
    })
}
