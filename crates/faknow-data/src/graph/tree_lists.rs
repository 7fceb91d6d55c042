//! Files of tree labels and of tree ids (for splits).

use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::Tree;
use crate::common::printable_name;
use crate::text_file::read_text;
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
/// The file cannot be read, is empty, or a line has no label or id.
pub fn read_tree_labels(path: &Path) -> Result<Vec<TreeLabel>> {
    let mut labels = Vec::new();
    for (index, line) in read_text(path)?.lines().enumerate() {
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
            let message = "expected label, event and id separated by tabs, or `label:id`";
            return Err(Error::line(
                path,
                index + 1,
                format!("{message}, got `{}`", printable_name(line.trim())),
            ));
        }
        let event = event.map(str::to_owned);
        labels.push(TreeLabel { id: id.to_owned(), label: label.to_owned(), event, line: index + 1 });
    }
    match labels.is_empty() {
        true => Err(Error::file(path, "expected one label per line, got an empty file")),
        false => Ok(labels),
    }
}

/// Returns the trees with the classes and events of `labels`; trees that are not listed are unchanged. [`UnmatchedLabels`]
/// counts them.
///
/// # Errors
/// [`Error::Line`] in `file`, from which the labels were read: a tree occurs twice, a label maps to no class, or the columns are
/// in another order. [`Error::File`]: no tree has a label.
pub fn label_trees(
    trees: Vec<Tree>,
    labels: &[TreeLabel],
    classes: &Classes,
    file: &Path,
) -> Result<Vec<Tree>> {
    let ids: HashSet<&str> = trees.iter().map(Tree::id).collect();
    if !labels.iter().any(|label| ids.contains(label.id.as_str())) {
        return Err(no_matching_label(&trees, labels, &ids, file));
    }
    drop(ids);
    let mut by_id = HashMap::with_capacity(labels.len());
    for label in labels {
        let line_error = |message: String| Error::line(file, label.line, message);
        let class = classes.parse(&RawLabel::Text(&label.label)).map_err(|e| line_error(e.to_string()))?;
        if by_id.insert(label.id.as_str(), (class, label.event.as_deref())).is_some() {
            return Err(line_error(format!("duplicate label of tree `{}`", printable_name(&label.id))));
        }
    }
    let labeled = trees.into_iter().map(|tree| match by_id.get(tree.id()) {
        Some(&(class, event)) => {
            let tree = tree.with_label(class);
            match event {
                Some(event) => tree.with_event(event),
                None => tree,
            }
        }
        None => tree,
    });
    Ok(labeled.collect())
}

/// Returns the error for labels of which none belongs to a tree.
fn no_matching_label(trees: &[Tree], labels: &[TreeLabel], ids: &HashSet<&str>, file: &Path) -> Error {
    if let Some(label) = labels.iter().find(|label| ids.contains(label.label.as_str())) {
        let message = format!(
            "expected the label in the first column and the id of the tree in the last, got the id `{}` first; swap the \
             columns",
            printable_name(&label.label)
        );
        return Error::line(file, label.line, message);
    }
    let first = |id: Option<&str>| id.map(printable_name).unwrap_or_default();
    let message = format!(
        "expected labels of the trees, got none: the {} labels are of other trees, such as `{}`, and the {} trees are such \
         as `{}`",
        labels.len(),
        first(labels.first().map(|label| label.id.as_str())),
        trees.len(),
        first(trees.first().map(Tree::id)),
    );
    Error::file(file, message)
}

/// Maximum number of ids that [`UnmatchedLabels`] names.
const MAX_NAMED_IDS: usize = 3;

/// The trees without a label, and the labels without a tree.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct UnmatchedLabels {
    /// Number of trees.
    pub n_trees: usize,
    /// Number of labels in the file.
    pub n_labels: usize,
    /// Ids of the trees without a label, in the order of the trees.
    pub trees: Vec<String>,
    /// Ids of the labels without a tree, in the order of the file.
    pub labels: Vec<String>,
}

impl UnmatchedLabels {
    /// Compares the trees of [`label_trees`] with the labels.
    pub fn new(trees: &[Tree], labels: &[TreeLabel]) -> Self {
        let ids: HashSet<&str> = trees.iter().map(Tree::id).collect();
        let labeled: HashSet<&str> = labels.iter().map(|label| label.id.as_str()).collect();
        let owned = |ids: Vec<&str>| ids.into_iter().map(str::to_owned).collect();
        Self {
            n_trees: trees.len(),
            n_labels: labels.len(),
            trees: owned(trees.iter().map(Tree::id).filter(|id| !labeled.contains(id)).collect()),
            labels: owned(
                labels.iter().map(|label| label.id.as_str()).filter(|id| !ids.contains(id)).collect(),
            ),
        }
    }

    /// Returns a sentence about the trees without a label, if there are any.
    pub fn describe_trees(&self) -> Option<String> {
        let (n, total) = (self.trees.len(), self.n_trees);
        (n > 0).then(|| format!("{n} of {total} trees have no label: {}", first_ids(&self.trees)))
    }

    /// Returns a sentence about the labels without a tree, if there are any.
    pub fn describe_labels(&self) -> Option<String> {
        let (n, total) = (self.labels.len(), self.n_labels);
        (n > 0).then(|| format!("{n} of {total} labels belong to no tree: {}", first_ids(&self.labels)))
    }
}

fn first_ids(ids: &[String]) -> String {
    let named: Vec<String> =
        ids.iter().take(MAX_NAMED_IDS).map(|id| format!("`{}`", printable_name(id))).collect();
    named.join(", ") + if ids.len() > MAX_NAMED_IDS { ", …" } else { "" }
}

/// Reads ids of trees, one per line; empty lines are skipped.
///
/// # Errors
/// The file cannot be read, is empty, or contains an id twice.
pub fn read_tree_ids(path: &Path) -> Result<Vec<String>> {
    let text = read_text(path)?;
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for (index, id) in text.lines().map(str::trim).enumerate().filter(|(_, id)| !id.is_empty()) {
        if !seen.insert(id) {
            return Err(Error::line(path, index + 1, format!("duplicate id `{}`", printable_name(id))));
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
/// [`Error::File`] for `file`, from which the ids were read: there are ids without a tree; the error counts them.
pub fn positions_by_id(trees: &[Tree], ids: &[String], file: &Path) -> Result<Vec<usize>> {
    let indices: HashMap<&str, usize> =
        trees.iter().enumerate().map(|(index, tree)| (tree.id(), index)).collect();
    let unknown: Vec<String> = ids.iter().filter(|id| !indices.contains_key(id.as_str())).cloned().collect();
    if !unknown.is_empty() {
        let message = format!(
            "expected ids of the {} trees, got {} of {} ids without a tree: {}",
            trees.len(),
            unknown.len(),
            ids.len(),
            first_ids(&unknown)
        );
        return Err(Error::file(file, message));
    }
    Ok(ids.iter().filter_map(|id| indices.get(id.as_str()).copied()).collect())
}
