//! Reading of trees as JSON lines, one tree per line.
//!
//! ```json
//! {"id": "1042", "label": "fake", "event": "flood", "nodes": [
//!   {"id": "1042", "parent": null, "time": 0, "text": "The dam has broken"},
//!   {"id": "1043", "parent": "1042", "time": 62.5, "text": "Says who?"}]}
//! ```

use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use serde_json::{Map, Value};

use super::{SparseRows, Tree};
use crate::bounds::{MAX_TREE_LINE_BYTES, check_feature, check_width};
use crate::common::printable_name;
use crate::input::{Input, input_error, input_name};
use crate::text::{Tokenizer, Vocab, VocabBuilder, VocabOptions};
use crate::{Classes, Error, Result};

/// A tree as read from JSON, before texts are tokenized.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTree {
    /// Its id; the line number if it has no id.
    pub id: String,
    /// Its class index, if it is labeled and classes were given.
    pub label: Option<usize>,
    /// The event that it belongs to.
    pub event: Option<String>,
    /// Id of each node.
    pub node_ids: Vec<String>,
    /// Index of each node's parent; `None` for the root.
    pub parents: Vec<Option<u32>>,
    /// Time of each node, in seconds or another unit; `None` if missing.
    pub times: Vec<Option<f64>>,
    /// Number of its line, from 1.
    pub line: usize,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Texts(Vec<String>),
    Features(Vec<Vec<(u32, f32)>>),
}

impl RawTree {
    /// Returns whether the nodes have texts rather than features.
    pub fn has_texts(&self) -> bool {
        matches!(self.content, Content::Texts(_))
    }

    /// Returns whether no node has a text or features.
    pub fn is_empty(&self) -> bool {
        match &self.content {
            Content::Texts(texts) => texts.iter().all(String::is_empty),
            Content::Features(rows) => rows.iter().all(Vec::is_empty),
        }
    }

    /// Returns the text of a node, if the nodes have texts.
    pub fn text(&self, node: usize) -> Option<&str> {
        match &self.content {
            Content::Texts(texts) => texts.get(node).map(String::as_str),
            Content::Features(_) => None,
        }
    }
}

/// An iterator over the trees of a JSON lines file; empty lines are skipped.
///
/// A tree has `nodes` and, optionally, `id`, `label` and `event`. A node has an `id` (a string or an integer), a `parent` (the id
/// of another node; null or missing for the root), and either a `text` or `features`: an object of nonzero numbers by index,
/// `{"17": 2.0}`, or an array of all numbers. A `text` of null is one that the dataset lacks: the node has no words. It may have a
/// `time`. Other fields are ignored.
///
/// ```
/// use faknow_data::graph::TreeJsonReader;
///
/// let line = r#"{"id": 7, "nodes": [{"id": 1, "text": "Moon landing"}, {"id": 2, "parent": 1, "text": "Wow"}]}"#;
/// let mut trees = TreeJsonReader::from_reader(Box::new(line.as_bytes()), "example", None);
/// let tree = trees.next().unwrap()?;
/// assert_eq!((tree.id.as_str(), &tree.parents[..], tree.has_texts()), ("7", &[None, Some(0)][..], true));
/// # Ok::<(), faknow_data::Error>(())
/// ```
pub struct TreeJsonReader<'a> {
    path: PathBuf,
    lines: Box<dyn BufRead + Send + 'a>,
    line: usize,
    classes: Option<&'a Classes>,
}

impl<'a> TreeJsonReader<'a> {
    /// Opens a file ([`Input`]); labels are read only if `classes` are given.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, classes: Option<&'a Classes>) -> Result<Self> {
        let lines = Box::new(BufReader::new(Input::open(path)?));
        Ok(Self { path: input_name(path), lines, line: 0, classes })
    }

    /// Reads trees from `reader`; errors show `name` as the path.
    pub fn from_reader(
        reader: Box<dyn BufRead + Send + 'a>,
        name: impl Into<PathBuf>,
        classes: Option<&'a Classes>,
    ) -> Self {
        Self { path: name.into(), lines: reader, line: 0, classes }
    }

    /// Parses a line; `None` if it is empty.
    fn parse_line(&self, bytes: &[u8]) -> std::result::Result<Option<RawTree>, String> {
        if bytes.len() as u64 == MAX_TREE_LINE_BYTES {
            return Err(format!(
                "expected a tree of less than {MAX_TREE_LINE_BYTES} bytes, got a longer line"
            ));
        }
        let bytes = match self.line {
            1 => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
            _ => bytes,
        };
        let line = std::str::from_utf8(bytes)
            .map_err(|_| "expected UTF-8 text, got other bytes; save the file as UTF-8".to_owned())?;
        (!line.trim().is_empty()).then(|| self.parse_tree(line)).transpose()
    }

    fn parse_tree(&self, line: &str) -> std::result::Result<RawTree, String> {
        if line.trim_start().starts_with('[') {
            let help = "convert it with `jq -c '.[]' FILE`";
            return Err(format!("expected a JSON object per line, got an array; {help}"));
        }
        let Value::Object(tree) =
            serde_json::from_str(line).map_err(|e| format!("expected a JSON object on one line: {e}"))?
        else {
            return Err(format!("expected a JSON object, got `{}`", printable_name(line.trim())));
        };
        let id = name(tree.get("id")).map_err(|message| format!("field `id`: {message}"))?;
        let id = id.unwrap_or_else(|| self.line.to_string());
        let tree_error = |message: String| format!("tree `{}`: {message}", printable_name(&id));
        let event =
            name(tree.get("event")).map_err(|message| tree_error(format!("field `event`: {message}")))?;
        let label = self.label(&tree).map_err(|message| tree_error(format!("field `label`: {message}")))?;
        let nodes = match tree.get("nodes") {
            Some(Value::Array(nodes)) if !nodes.is_empty() => nodes,
            _ => return Err(tree_error("field `nodes`: expected an array of at least one node".to_owned())),
        };
        let mut raw = RawTree {
            id: id.clone(),
            label,
            event,
            node_ids: Vec::with_capacity(nodes.len()),
            parents: Vec::with_capacity(nodes.len()),
            times: Vec::with_capacity(nodes.len()),
            line: self.line,
            content: Content::Texts(Vec::new()),
        };
        let mut features = Vec::new();
        let mut texts = Vec::new();
        let mut n_without_text = 0;
        let mut parents = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let node_error =
                |message: String| tree_error(format!("node {} of {}: {message}", index + 1, nodes.len()));
            let Value::Object(node) = node else { return Err(node_error("expected an object".to_owned())) };
            let id = name(node.get("id")).map_err(|message| node_error(format!("field `id`: {message}")))?;
            raw.node_ids.push(id.ok_or_else(|| node_error("field `id` is missing".to_owned()))?);
            parents.push(
                name(node.get("parent"))
                    .map_err(|message| node_error(format!("field `parent`: {message}")))?,
            );
            raw.times.push(match node.get("time") {
                None | Some(Value::Null) => None,
                Some(time) => {
                    let time = time.as_f64().filter(|time| time.is_finite());
                    Some(time.ok_or_else(|| node_error("field `time`: expected a number".to_owned()))?)
                }
            });
            match (node.get("text"), node.get("features")) {
                (Some(Value::String(text)), None) => texts.push(text.clone()),
                // Posts whose text is not in a dataset have no words.
                (Some(Value::Null), None) => {
                    n_without_text += 1;
                    texts.push(String::new());
                }
                (None, Some(values)) => {
                    features.push(
                        entries(values)
                            .map_err(|message| node_error(format!("field `features`: {message}")))?,
                    );
                }
                (Some(_), None) => return Err(node_error("field `text`: expected a string".to_owned())),
                _ => return Err(node_error("expected either `text` or `features`".to_owned())),
            }
        }
        raw.parents = parent_indices(&raw.node_ids, &parents).map_err(tree_error)?;
        raw.content = match (texts.is_empty(), features.is_empty()) {
            (false, true) => Content::Texts(texts),
            (true, _) => Content::Features(features),
            _ if texts.len() == n_without_text => {
                return Err(tree_error(format!(
                    "expected features at all nodes, got none at {n_without_text} of them"
                )));
            }
            _ => {
                return Err(tree_error(
                    "expected texts at all nodes or features at all nodes, got both".to_owned(),
                ));
            }
        };
        Ok(raw)
    }

    fn label(&self, tree: &Map<String, Value>) -> std::result::Result<Option<usize>, String> {
        let (Some(classes), Some(label)) = (self.classes, tree.get("label")) else { return Ok(None) };
        classes.parse_value(label)
    }
}

impl Iterator for TreeJsonReader<'_> {
    type Item = Result<RawTree>;

    fn next(&mut self) -> Option<Result<RawTree>> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            self.line += 1;
            match self.lines.by_ref().take(MAX_TREE_LINE_BYTES).read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => {
                    let tree = self.parse_line(&bytes).transpose();
                    if let Some(tree) = tree {
                        return Some(tree.map_err(|message| Error::line(&self.path, self.line, message)));
                    }
                }
                Err(error) => return Some(Err(input_error(&self.path, error))),
            }
        }
    }
}

/// Returns an id or name, a string or an integer (with all its digits); `None` if it is missing or null.
fn name(value: Option<&Value>) -> std::result::Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if !name.is_empty() => Ok(Some(name.clone())),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(Some(number.to_string())),
        Some(other) => {
            Err(format!("expected a string or an integer, got {}", printable_name(&other.to_string())))
        }
    }
}

/// Parses features into pairs of index and value.
fn entries(value: &Value) -> std::result::Result<Vec<(u32, f32)>, String> {
    let number = |value: &Value| {
        let number = value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
        number.ok_or_else(|| format!("expected a number, got {}", printable_name(&value.to_string())))
    };
    match value {
        Value::Object(entries) => {
            let entry = |(index, value): (&String, &Value)| {
                let index = index.parse().map_err(|_| {
                    format!("expected non-negative feature indices, got `{}`", printable_name(index))
                })?;
                Ok((check_feature(index)?, number(value)?))
            };
            entries.iter().map(entry).collect()
        }
        Value::Array(values) => {
            check_width(values.len().max(1))?;
            let entry = |(column, value): (usize, &Value)| Ok((column as u32, number(value)?));
            values.iter().enumerate().map(entry).collect()
        }
        other => Err(format!(
            "expected an object of numbers by feature index, or an array of numbers, got {}",
            printable_name(&other.to_string())
        )),
    }
}

/// Returns the index of each node's parent.
fn parent_indices(
    ids: &[String],
    parents: &[Option<String>],
) -> std::result::Result<Vec<Option<u32>>, String> {
    let mut indices = HashMap::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        if indices.insert(id.as_str(), index as u32).is_some() {
            return Err(format!("duplicate node `{}`", printable_name(id)));
        }
    }
    let parent_index = |(id, parent): (&String, &Option<String>)| match parent {
        None => Ok(None),
        Some(parent) => {
            let index = indices.get(parent.as_str()).copied().map(Some);
            index.ok_or_else(|| {
                let (id, parent) = (printable_name(id), printable_name(parent));
                format!("node `{id}` has parent `{parent}`, which is not a node of the tree")
            })
        }
    };
    ids.iter().zip(parents).map(parent_index).collect()
}

/// Builds the vocabulary of the texts of these trees.
///
/// # Errors
/// The vocabulary is empty.
pub fn tree_vocab(trees: &[RawTree], tokenizer: &Tokenizer, options: &VocabOptions) -> Result<Vocab> {
    let mut words = VocabBuilder::new();
    for tree in trees {
        let Content::Texts(texts) = &tree.content else { continue };
        texts.iter().for_each(|text| words.add_text(tokenizer, text));
    }
    words.build(options)
}

/// Returns the number of features of these trees: the largest feature index plus 1, or 0 if they have texts.
pub fn n_raw_features(trees: &[RawTree]) -> usize {
    let features = trees.iter().filter_map(|tree| match &tree.content {
        Content::Features(rows) => Some(rows.iter().flatten()),
        Content::Texts(_) => None,
    });
    features.flatten().map(|&(column, _)| column as usize + 1).max().unwrap_or(0)
}

/// Converts raw trees: with `words`, the features of a node are the counts of token ids in its text; otherwise they are the
/// features read, with `n_features` columns (default: [`n_raw_features`]).
///
/// # Errors
/// [`Error::Line`] in `file`: a tree has texts and `words` is `None`, or features and `words` are given; its nodes do not form a
/// tree; or a feature index is not below `n_features`.
pub fn raw_to_trees(
    trees: Vec<RawTree>,
    words: Option<(&Tokenizer, &Vocab)>,
    n_features: Option<usize>,
    file: &Path,
) -> Result<Vec<Tree>> {
    let width =
        words.map_or_else(|| n_features.unwrap_or_else(|| n_raw_features(&trees)), |(_, vocab)| vocab.len());
    let to_tree = |tree: RawTree| -> Result<Tree> {
        let line_error = |message: String| Error::line(file, tree.line, message);
        let tree_error =
            |message: &str| line_error(format!("tree `{}`: {message}", printable_name(&tree.id)));
        let mut rows = SparseRows::new(width);
        match (&tree.content, words) {
            (Content::Texts(texts), Some((tokenizer, vocab))) => {
                for text in texts {
                    let mut counts = std::collections::BTreeMap::new();
                    tokenizer
                        .tokenize(text, &mut |token| *counts.entry(vocab.id(token)).or_insert(0.0) += 1.0);
                    rows.push(counts).map_err(|e| line_error(e.to_string()))?;
                }
            }
            (Content::Features(features), None) => {
                for row in features {
                    rows.push(row.iter().copied()).map_err(|e| tree_error(&e.to_string()))?;
                }
            }
            (Content::Texts(_), None) => return Err(tree_error("expected features at its nodes, got texts")),
            (Content::Features(_), Some(_)) => {
                return Err(tree_error("expected texts at its nodes, got features"));
            }
        }
        let RawTree { id, label, event, parents, line, .. } = tree;
        let mut tree = Tree::new(id, parents, rows).map_err(|e| Error::line(file, line, e.to_string()))?;
        if let Some(label) = label {
            tree = tree.with_label(label);
        }
        Ok(match event {
            Some(event) => tree.with_event(event),
            None => tree,
        })
    };
    trees.into_iter().map(to_tree).collect()
}
