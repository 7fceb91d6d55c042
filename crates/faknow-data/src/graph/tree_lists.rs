//! Files of tree labels and of tree ids (for splits).

use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::Tree;
use crate::{Classes, Error, RawLabel, Result};

/// The label of a tree as written in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeLabel {
    /// Id of the tree.
    pub id: String,
    /// The label as written.
    pub label: String,
    /// The event that the tree belongs to, if given.
    pub event: Option<String>,
    /// Number of the line, from 1.
    pub line: usize,
}

/// Reads the labels of trees. Lines are tab-separated label, event and id (further columns are ignored), tab-separated label and
/// id, or `label:id`. Empty lines are skipped.
///
/// # Errors
/// The file cannot be read, or a line has no label or id.
pub fn read_tree_labels(path: &Path) -> Result<Vec<TreeLabel>> {
    let mut labels = Vec::new();
    for (index, line) in lines(path)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
        let (label, event, id) = match columns[..] {
            [label, event, id, ..] => (label, Some(event).filter(|event| !event.is_empty()), id),
            [label, id] => (label, None, id),
            _ => match line.trim().split_once(':') {
                Some((label, id)) => (label, None, id),
                None => ("", None, ""),
            },
        };
        if label.is_empty() || id.is_empty() {
            let message = "expected tab-separated label, event and id";
            return Err(Error::line(path, index + 1, format!("{message}, got `{}`", line.trim())));
        }
        let event = event.map(str::to_owned);
        labels.push(TreeLabel { id: id.to_owned(), label: label.to_owned(), event, line: index + 1 });
    }
    Ok(labels)
}

/// Returns the trees with the classes and events of `labels`; trees that are not listed are unchanged.
///
/// # Errors
/// [`Error::Line`] in `file`, from which the labels were read: a tree occurs twice, or a label maps to no class.
pub fn label_trees(
    trees: Vec<Tree>,
    labels: &[TreeLabel],
    classes: &Classes,
    file: &Path,
) -> Result<Vec<Tree>> {
    let mut by_id = HashMap::with_capacity(labels.len());
    for label in labels {
        let line_error = |message: String| Error::line(file, label.line, message);
        let class = classes.parse(&RawLabel::Text(&label.label)).map_err(|e| line_error(e.to_string()))?;
        if by_id.insert(label.id.as_str(), (class, label.event.as_deref())).is_some() {
            return Err(line_error(format!("duplicate label of tree `{}`", label.id)));
        }
    }
    let labeled = trees.into_iter().map(|tree| match by_id.get(tree.id()) {
        Some(&(class, event)) => {
            let tree = tree.with_label(class);
            event.map_or_else(|| tree.clone(), |event| tree.clone().with_event(event))
        }
        None => tree,
    });
    Ok(labeled.collect())
}

/// Reads ids of trees, one per line; empty lines are skipped.
///
/// # Errors
/// The file cannot be read, is empty, or contains an id twice.
pub fn read_tree_ids(path: &Path) -> Result<Vec<String>> {
    let text = lines(path)?;
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for (index, id) in text.lines().map(str::trim).enumerate().filter(|(_, id)| !id.is_empty()) {
        if !seen.insert(id) {
            return Err(Error::line(path, index + 1, format!("duplicate id `{id}`")));
        }
        ids.push(id.to_owned());
    }
    if ids.is_empty() {
        return Err(Error::file(path, "expected one id per line, got an empty file"));
    }
    Ok(ids)
}

/// Returns the indices in `trees` of the trees with these ids, in the order of the ids.
///
/// # Errors
/// [`Error::File`] for `file`, from which the ids were read: there is no tree with an id.
pub fn positions_by_id(trees: &[Tree], ids: &[String], file: &Path) -> Result<Vec<usize>> {
    let indices: HashMap<&str, usize> =
        trees.iter().enumerate().map(|(index, tree)| (tree.id(), index)).collect();
    let index = |id: &String| {
        let message = || format!("no tree with id `{id}` among {} trees", trees.len());
        indices.get(id.as_str()).copied().ok_or_else(|| Error::file(file, message()))
    };
    ids.iter().map(index).collect()
}

fn lines(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    String::from_utf8(bytes).map_err(|_| Error::file(path, "expected UTF-8 text"))
}
