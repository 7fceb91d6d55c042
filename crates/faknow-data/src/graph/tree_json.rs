//! Users' own cascades: JSON lines, a tree a line.
//!
//! ```json
//! {"id": "1042", "label": "fake", "event": "flood", "nodes": [
//!   {"id": "1042", "parent": null, "time": 0, "text": "The dam has broken"},
//!   {"id": "1043", "parent": "1042", "time": 62.5, "text": "Says who?"}]}
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use serde_json::{Map, Value};

use super::bounds::{check_feature, check_width};
use super::{SparseRows, Tree};
use crate::text::{Tokenizer, Vocab, VocabBuilder, VocabOptions};
use crate::{Classes, Error, RawLabel, Result};

/// A tree as a line of JSON has it.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTree {
    /// Its id; the number of its line if it has none.
    pub id: String,
    /// Its class, if it is labeled and the classes are known.
    pub label: Option<usize>,
    /// The event that it tells of.
    pub event: Option<String>,
    /// The id of each node.
    pub node_ids: Vec<String>,
    /// Position of each node's parent.
    pub parents: Vec<Option<u32>>,
    /// Seconds, or whatever the user counts in, of each node; `None` where it is not told.
    pub times: Vec<Option<f64>>,
    /// The line, from 1.
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

    /// Returns the text of a node, if the nodes have texts.
    pub fn text(&self, node: usize) -> Option<&str> {
        match &self.content {
            Content::Texts(texts) => texts.get(node).map(String::as_str),
            Content::Features(_) => None,
        }
    }
}

/// Reads trees from JSON lines, one at a time; empty lines are skipped.
///
/// A tree has `nodes` and, if wanted, `id`, `label` and `event`. A node has an `id` (a text or an integer), a `parent`
/// (the id of another node; null or missing for the root), and either a `text` or `features`: an object of the numbers
/// that are not zero by their positions, `{"17": 2.0}`, or an array of all. It may have a `time`. Other fields are
/// ignored.
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
    /// Reads a file; labels become classes if these are given, and are not looked at otherwise.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, classes: Option<&'a Classes>) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        Ok(Self { path: path.to_path_buf(), lines: Box::new(BufReader::new(file)), line: 0, classes })
    }

    /// Reads what is not a file; `name` stands for it in errors.
    pub fn from_reader(
        reader: Box<dyn BufRead + Send + 'a>,
        name: impl Into<PathBuf>,
        classes: Option<&'a Classes>,
    ) -> Self {
        Self { path: name.into(), lines: reader, line: 0, classes }
    }

    fn tree(&self, line: &str) -> std::result::Result<RawTree, String> {
        let Value::Object(tree) =
            serde_json::from_str(line).map_err(|e| format!("expected a JSON object on one line: {e}"))?
        else {
            return Err("expected a JSON object".to_owned());
        };
        let id = name(tree.get("id")).map_err(|what| format!("field `id`: {what}"))?;
        let id = id.unwrap_or_else(|| self.line.to_string());
        let in_tree = |what: String| format!("tree `{id}`: {what}");
        let event = name(tree.get("event")).map_err(|what| in_tree(format!("field `event`: {what}")))?;
        let label = self.label(&tree).map_err(|what| in_tree(format!("field `label`: {what}")))?;
        let nodes = match tree.get("nodes") {
            Some(Value::Array(nodes)) if !nodes.is_empty() => nodes,
            _ => return Err(in_tree("field `nodes`: expected an array of at least one node".to_owned())),
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
        let mut parents = Vec::with_capacity(nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            let wrong = |what: String| in_tree(format!("node {} of {}: {what}", place + 1, nodes.len()));
            let Value::Object(node) = node else { return Err(wrong("expected an object".to_owned())) };
            let id = name(node.get("id")).map_err(|what| wrong(format!("field `id`: {what}")))?;
            raw.node_ids.push(id.ok_or_else(|| wrong("field `id` is missing".to_owned()))?);
            parents.push(name(node.get("parent")).map_err(|what| wrong(format!("field `parent`: {what}")))?);
            raw.times.push(match node.get("time") {
                None | Some(Value::Null) => None,
                Some(time) => {
                    let time = time.as_f64().filter(|time| time.is_finite());
                    Some(time.ok_or_else(|| wrong("field `time`: expected a number".to_owned()))?)
                }
            });
            match (node.get("text"), node.get("features")) {
                (Some(Value::String(text)), None) => texts.push(text.clone()),
                (None, Some(given)) => {
                    features.push(entries(given).map_err(|what| wrong(format!("field `features`: {what}")))?);
                }
                (Some(_), None) => return Err(wrong("field `text`: expected a text".to_owned())),
                _ => return Err(wrong("expected a `text` or `features`, one of them".to_owned())),
            }
        }
        raw.parents = places(&raw.node_ids, &parents).map_err(in_tree)?;
        raw.content = match (texts.is_empty(), features.is_empty()) {
            (false, true) => Content::Texts(texts),
            (true, _) => Content::Features(features),
            _ => return Err(in_tree("expected a text at every node or features at every node".to_owned())),
        };
        Ok(raw)
    }

    fn label(&self, tree: &Map<String, Value>) -> std::result::Result<Option<usize>, String> {
        let (Some(classes), Some(label)) = (self.classes, tree.get("label")) else { return Ok(None) };
        let Some(label) = RawLabel::from_value(label)? else { return Ok(None) };
        classes.parse(&label).map(Some).map_err(|e| e.to_string())
    }
}

impl Iterator for TreeJsonReader<'_> {
    type Item = Result<RawTree>;

    fn next(&mut self) -> Option<Result<RawTree>> {
        let mut line = String::new();
        loop {
            line.clear();
            self.line += 1;
            match self.lines.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) if line.trim().is_empty() => {}
                Ok(_) => {
                    let tree = self.tree(&line);
                    return Some(tree.map_err(|message| Error::line(&self.path, self.line, message)));
                }
                Err(error) => return Some(Err(Error::io(&self.path, error))),
            }
        }
    }
}

/// A text or an integer, which keeps all its digits; `None` if there is none.
fn name(value: Option<&Value>) -> std::result::Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if !name.is_empty() => Ok(Some(name.clone())),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(Some(number.to_string())),
        Some(other) => Err(format!("expected a text or an integer, got {other}")),
    }
}

/// The features that are not zero.
fn entries(value: &Value) -> std::result::Result<Vec<(u32, f32)>, String> {
    let number = |value: &Value| {
        let number = value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
        number.ok_or_else(|| format!("expected a number, got {value}"))
    };
    match value {
        Value::Object(entries) => {
            let entry = |(position, value): (&String, &Value)| {
                let position =
                    position.parse().map_err(|_| format!("expected positions from 0, got `{position}`"))?;
                Ok((check_feature(position)?, number(value)?))
            };
            entries.iter().map(entry).collect()
        }
        Value::Array(all) => {
            check_width(all.len())?;
            let entry = |(column, value): (usize, &Value)| Ok((column as u32, number(value)?));
            all.iter().enumerate().map(entry).collect()
        }
        other => {
            Err(format!("expected an object of numbers by position, or an array of numbers, got {other}"))
        }
    }
}

/// The positions of the parents.
fn places(ids: &[String], parents: &[Option<String>]) -> std::result::Result<Vec<Option<u32>>, String> {
    let mut places = HashMap::with_capacity(ids.len());
    for (place, id) in ids.iter().enumerate() {
        if places.insert(id.as_str(), place as u32).is_some() {
            return Err(format!("node `{id}` comes twice"));
        }
    }
    let place = |(id, parent): (&String, &Option<String>)| match parent {
        None => Ok(None),
        Some(parent) => {
            let place = places.get(parent.as_str()).copied().map(Some);
            place.ok_or_else(|| format!("node `{id}` has parent `{parent}`, which is no node of the tree"))
        }
    };
    ids.iter().zip(parents).map(place).collect()
}

/// Returns the vocabulary of the texts of these trees; words are counted once for each time that they occur.
///
/// # Errors
/// No word is left.
pub fn tree_vocab(trees: &[RawTree], tokenizer: &Tokenizer, options: &VocabOptions) -> Result<Vocab> {
    let mut words = VocabBuilder::new();
    for tree in trees {
        let Content::Texts(texts) = &tree.content else { continue };
        texts.iter().for_each(|text| words.add_text(tokenizer, text));
    }
    words.build(options)
}

/// Returns the width of these trees' features: their largest position plus 1, 0 if they have texts.
pub fn n_raw_features(trees: &[RawTree]) -> usize {
    let features = trees.iter().filter_map(|tree| match &tree.content {
        Content::Features(rows) => Some(rows.iter().flatten()),
        Content::Texts(_) => None,
    });
    features.flatten().map(|&(column, _)| column as usize + 1).max().unwrap_or(0)
}

/// Trees whose nodes' features are how often each word of the vocabulary occurs in their texts (words outside it count
/// as the unknown word), or as they stand, `n_features` wide, or as wide as the largest position of all.
///
/// # Errors
/// `file` is named: a tree has texts and there are no `words`, or the other way round; it is no tree; or a position is
/// not below `n_features`.
pub fn raw_to_trees(
    trees: Vec<RawTree>,
    words: Option<(&Tokenizer, &Vocab)>,
    n_features: Option<usize>,
    file: &Path,
) -> Result<Vec<Tree>> {
    let width =
        words.map_or_else(|| n_features.unwrap_or_else(|| n_raw_features(&trees)), |(_, vocab)| vocab.len());
    let to_tree = |tree: RawTree| -> Result<Tree> {
        let wrong = |message: String| Error::line(file, tree.line, message);
        let in_tree = |message: &str| wrong(format!("tree `{}`: {message}", tree.id));
        let mut rows = SparseRows::new(width);
        match (&tree.content, words) {
            (Content::Texts(texts), Some((tokenizer, vocab))) => {
                for text in texts {
                    let mut counts = std::collections::BTreeMap::new();
                    tokenizer
                        .tokenize(text, &mut |token| *counts.entry(vocab.id(token)).or_insert(0.0) += 1.0);
                    rows.push(counts).map_err(|e| wrong(e.to_string()))?;
                }
            }
            (Content::Features(features), None) => {
                for row in features {
                    rows.push(row.iter().copied()).map_err(|e| in_tree(&e.to_string()))?;
                }
            }
            (Content::Texts(_), None) => return Err(in_tree("expected features at its nodes, got texts")),
            (Content::Features(_), Some(_)) => {
                return Err(in_tree("expected texts at its nodes, got features"));
            }
        }
        let RawTree { id, label, event, parents, line, .. } = tree;
        let tree = Tree::new(id, parents, rows).map_err(|e| Error::line(file, line, e.to_string()))?;
        let tree = label.map_or_else(|| tree.clone(), |label| tree.clone().with_label(label));
        Ok(event.map_or_else(|| tree.clone(), |event| tree.clone().with_event(event)))
    };
    trees.into_iter().map(to_tree).collect()
}
