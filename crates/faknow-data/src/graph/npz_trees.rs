//! Reading of trees in the format of the BiGCN and FaKnow scripts: a NumPy archive `<id>.npz` per tree.

use std::path::{Path, PathBuf};

use super::npz::Npz;
use super::{SparseRows, Tree};
use crate::bounds::check_width;
use crate::records::check_class_index;
use crate::{Error, Result};

/// Reads the trees with these ids from a directory, or all of its `.npz` files in the order of their names.
///
/// Each file contains `x` `[n, n_features]`, `edgeindex` (or `edge_index`) `[2, n - 1]` from parents to children, and `y`, its
/// class index. Other arrays are ignored.
///
/// # Errors
/// A file cannot be read or does not contain a tree, or the feature `npz` is disabled.
pub fn read_npz_trees(dir: &Path, ids: Option<&[String]>) -> Result<Vec<Tree>> {
    let files: Vec<PathBuf> = match ids {
        Some(ids) => ids.iter().map(|id| dir.join(format!("{id}.npz"))).collect(),
        None => {
            let entries = std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))?;
            let paths: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
            let mut paths = paths.map_err(|e| Error::io(dir, e))?;
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "npz"));
            paths.sort();
            paths
        }
    };
    if files.is_empty() {
        return Err(Error::file(dir, "expected files `<id>.npz` in the directory, got none"));
    }
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Tree> {
    let file_error = |message: String| Error::file(path, message);
    let mut archive = Npz::open(path)?;
    let x = archive.read(&["x"])?;
    let &[n_nodes, n_features] = &x.shape[..] else {
        return Err(file_error(format!("array `x`: expected [nodes, features], got shape {:?}", x.shape)));
    };
    check_width(n_features).map_err(|message| file_error(format!("array `x`: {message}")))?;
    let mut features = SparseRows::new(n_features);
    for row in x.floats().chunks_exact(n_features.max(1)).take(n_nodes) {
        let entries = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
        features
            .push(entries.map(|(column, &value)| (column as u32, value as f32)))
            .map_err(|e| file_error(e.to_string()))?;
    }
    let edges = archive.read(&["edgeindex", "edge_index"])?;
    let n_edges = match edges.shape[..] {
        [2, n_edges] => n_edges,
        // NumPy may lose the shape of an array without edges.
        _ if edges.shape.contains(&0) => 0,
        _ => {
            return Err(file_error(format!(
                "array `edgeindex`: expected [2, edges], got shape {:?}",
                edges.shape
            )));
        }
    };
    let edges = edges.indices().map_err(file_error)?;
    // At most as many as values in the file, since each node has features.
    let mut parents = vec![None; n_nodes];
    for edge in 0..n_edges {
        let (parent, child) = (edges[edge], edges[n_edges + edge]);
        let slot = parents.get_mut(child).filter(|_| parent < n_nodes).ok_or_else(|| {
            file_error(format!(
                "edge {edge}: expected node indices below {n_nodes}, got {parent} and {child}"
            ))
        })?;
        if slot.replace(parent as u32).is_some() {
            return Err(file_error(format!("node {child}: expected one parent, got several")));
        }
    }
    let label = archive.read(&["y"])?.indices().map_err(file_error)?;
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    let tree = Tree::new(id, parents, features).map_err(|e| file_error(e.to_string()))?;
    Ok(match label.first() {
        Some(&label) => {
            check_class_index(label).map_err(|message| file_error(format!("array `y`: {message}")))?;
            tree.with_label(label)
        }
        None => tree,
    })
}
