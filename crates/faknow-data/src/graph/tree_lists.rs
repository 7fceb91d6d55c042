//! What says of trees which class they are of, and which are for training: files of labels and of ids.

use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::Tree;
use crate::{Classes, Error, RawLabel, Result};

/// The label of a tree, as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeLabel {
    /// Id of the tree.
    pub id: String,
    /// The label as it is written.
    pub label: String,
    /// The event that the tree tells of, if the file says it.
    pub event: Option<String>,
    /// The line, from 1.
    pub line: usize,
}

/// Reads the labels of trees: by tabs label, event and id, and what else may stand behind; or label and id alone; or
/// `label:id`. Empty lines are skipped.
///
/// # Errors
/// The file cannot be read, or a line has no id.
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
            let message = "expected label, event and id of the root, separated by tabs";
            return Err(Error::line(path, index + 1, format!("{message}, got `{}`", line.trim())));
        }
        let event = event.map(str::to_owned);
        labels.push(TreeLabel { id: id.to_owned(), label: label.to_owned(), event, line: index + 1 });
    }
    Ok(labels)
}

/// Gives trees their classes and events; a tree that `labels` do not name stays without.
///
/// # Errors
/// `file`, where the labels come from, names a tree twice, or has a label that is no class.
pub fn label_trees(
    trees: Vec<Tree>,
    labels: &[TreeLabel],
    classes: &Classes,
    file: &Path,
) -> Result<Vec<Tree>> {
    let mut by_id = HashMap::with_capacity(labels.len());
    for label in labels {
        let wrong = |message: String| Error::line(file, label.line, message);
        let class = classes.parse(&RawLabel::Text(&label.label)).map_err(|e| wrong(e.to_string()))?;
        if by_id.insert(label.id.as_str(), (class, label.event.as_deref())).is_some() {
            return Err(wrong(format!("tree `{}` is labeled twice", label.id)));
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

/// Reads ids of trees, one a line; empty lines are skipped.
///
/// # Errors
/// The file cannot be read, holds no id, or holds one twice.
pub fn read_tree_ids(path: &Path) -> Result<Vec<String>> {
    let text = lines(path)?;
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for (index, id) in text.lines().map(str::trim).enumerate().filter(|(_, id)| !id.is_empty()) {
        if !seen.insert(id) {
            return Err(Error::line(path, index + 1, format!("the id `{id}` comes twice")));
        }
        ids.push(id.to_owned());
    }
    if ids.is_empty() {
        return Err(Error::file(path, "the file holds no id: expected one a line"));
    }
    Ok(ids)
}

/// Positions among `trees` of those that `ids` name, in the order of the ids.
///
/// # Errors
/// An id of `file` is that of no tree.
pub fn positions_by_id(trees: &[Tree], ids: &[String], file: &Path) -> Result<Vec<usize>> {
    let places: HashMap<&str, usize> = trees.iter().enumerate().map(|(at, tree)| (tree.id(), at)).collect();
    let place = |id: &String| {
        let message = || format!("there is no tree `{id}` among the {} that were read", trees.len());
        places.get(id.as_str()).copied().ok_or_else(|| Error::file(file, message()))
    };
    ids.iter().map(place).collect()
}

fn lines(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    String::from_utf8(bytes).map_err(|_| Error::file(path, "the file is no text in UTF-8"))
}
