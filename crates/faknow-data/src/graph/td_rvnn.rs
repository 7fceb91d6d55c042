//! Reading of trees in the text format of TD_RvNN: Twitter15, Twitter16, Weibo, PHEME.
//!
//! Ma, Gao and Wong, *Rumor Detection on Twitter with Tree-structured Recursive Neural Networks*, ACL 2018. One node per line,
//! in tab-separated columns: id of the root; number of the parent within the tree, or `None`; number of the node; two unused
//! columns; the words of the post as space-separated `word:count`.

use std::path::Path;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::{SparseRows, Tree};
use crate::bounds::check_feature;
use crate::common::printable_name;
use crate::text_file::read_text;
use crate::{Error, Result};

/// Approximate number of bytes that a task parses.
const CHUNK_BYTES: usize = 1 << 18;

/// Reads trees, in the order of their first lines; the nodes of a tree are in the order of their lines.
///
/// The lines of a tree need not be consecutive, a parent may follow its child, and node numbers only have to be distinct. If
/// `n_features` is given, word indices must be below it; otherwise it is the largest word index plus 1.
///
/// # Errors
/// The file cannot be read, a line cannot be parsed, or the lines of a root do not form a tree; the error names the line.
pub fn read_td_rvnn(path: &Path, n_features: Option<usize>) -> Result<Vec<Tree>> {
    let text = read_text(path)?;
    let parsed: Vec<_> = chunks(&text).into_par_iter().map(parse_chunk).collect();
    let (mut rows, mut first_line, mut entries) = (Vec::new(), 1, Vec::new());
    for (chunk_index, result) in parsed.into_iter().enumerate() {
        let chunk = result.map_err(|(line, message)| Error::line(path, first_line + line, message))?;
        rows.extend(chunk.rows.into_iter().map(|row| Row {
            line: first_line + row.line,
            chunk: chunk_index,
            ..row
        }));
        first_line += chunk.n_lines;
        entries.push((chunk.columns, chunk.values));
    }
    let max_column = entries.iter().flat_map(|(columns, _)| columns).max();
    let n_features = n_features.unwrap_or_else(|| max_column.map_or(0, |&column| column as usize + 1));
    let mut tree_indices: HashMap<&str, usize> = HashMap::new();
    let mut trees: Vec<Vec<&Row<'_>>> = Vec::new();
    for row in &rows {
        let index = *tree_indices.entry(row.tree).or_insert_with(|| {
            trees.push(Vec::new());
            trees.len() - 1
        });
        trees[index].push(row);
    }
    let to_tree = |rows: &Vec<&Row<'_>>| build_tree(path, rows, &entries, n_features);
    let trees: Vec<Tree> = trees.par_iter().map(to_tree).collect::<Result<_>>()?;
    if trees.is_empty() {
        return Err(Error::file(path, "expected trees, got an empty file"));
    }
    Ok(trees)
}

/// A node with its position in the file.
struct Row<'a> {
    /// Index of its line in the chunk while parsing; afterwards, line number in the file.
    line: usize,
    tree: &'a str,
    parent: Option<u64>,
    node: u64,
    /// Index of the chunk with its words, and their range.
    chunk: usize,
    words: std::ops::Range<usize>,
}

#[derive(Default)]
struct Chunk<'a> {
    n_lines: usize,
    rows: Vec<Row<'a>>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

/// Splits the text into chunks of complete lines.
fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .bytes()
            .skip(CHUNK_BYTES)
            .position(|byte| byte == b'\n')
            .map_or(rest.len(), |index| CHUNK_BYTES + index + 1);
        let (chunk, tail) = rest.split_at(end);
        chunks.push(chunk);
        rest = tail;
    }
    chunks
}

fn parse_chunk(text: &str) -> std::result::Result<Chunk<'_>, (usize, String)> {
    let mut chunk = Chunk::default();
    for line in text.lines() {
        if !line.trim().is_empty() {
            parse_line(line, &mut chunk).map_err(|message| (chunk.n_lines, message))?;
        }
        chunk.n_lines += 1;
    }
    Ok(chunk)
}

fn parse_line<'a>(line: &'a str, chunk: &mut Chunk<'a>) -> std::result::Result<(), String> {
    let mut columns = line.split('\t');
    let mut n_columns = 0;
    let mut next = |name: &str| {
        n_columns += 1;
        columns.next().ok_or_else(|| {
            format!("expected 6 tab-separated columns, got {}: `{name}` is missing", n_columns - 1)
        })
    };
    let (tree, parent, node) = (next("root id")?, next("parent")?, next("node")?);
    next("maximal degree")?;
    next("maximal length")?;
    let words = next("words")?;
    let n_more = columns.count();
    if n_more > 0 {
        return Err(format!(
            "expected 6 tab-separated columns, got {}; the words must be in column 6: remove the column of delays \
             before them",
            6 + n_more
        ));
    }
    let start = chunk.columns.len();
    for pair in words.split(' ').filter(|pair| !pair.is_empty()) {
        let (word, count) = word_and_count(pair).ok_or_else(|| {
            format!("column 6: expected `word:count` with numbers, got `{}`", printable_name(pair))
        })?;
        chunk.columns.push(
            check_feature(word)
                .map_err(|message| format!("column 6: {message} in `{}`", printable_name(pair)))?,
        );
        chunk.values.push(count);
    }
    if tree.trim().is_empty() {
        return Err("column 1: expected the id of the root, got an empty value".to_owned());
    }
    let number = |text: &str, expected: &str| -> std::result::Result<u64, String> {
        text.trim().parse().map_err(|_| format!("{expected}, got `{}`", printable_name(text)))
    };
    let parent = match parent.trim() {
        "None" => None,
        parent => Some(number(parent, "column 2: expected a node number, or `None` for the root")?),
    };
    let node = number(node, "column 3: expected a node number")?;
    chunk.rows.push(Row {
        line: chunk.n_lines,
        tree: tree.trim(),
        parent,
        node,
        chunk: 0,
        words: start..chunk.columns.len(),
    });
    Ok(())
}

/// Parses a pair such as `17:2`; the count is a non-negative number, possibly with decimals.
fn word_and_count(pair: &str) -> Option<(u64, f32)> {
    let (word, count) = pair.split_once(':')?;
    let word = word.parse().ok()?;
    let count = match count.as_bytes() {
        [digit @ b'0'..=b'9'] => f32::from(digit - b'0'),
        _ => count.parse().ok()?,
    };
    (count >= 0.0 && f32::is_finite(count)).then_some((word, count))
}

fn build_tree(
    path: &Path,
    rows: &[&Row<'_>],
    entries: &[(Vec<u32>, Vec<f32>)],
    n_features: usize,
) -> Result<Tree> {
    let id = rows.first().map_or("", |row| row.tree);
    let tree_error = |row: &Row<'_>, message: String| {
        Error::line(path, row.line, format!("tree `{}`: {message}", printable_name(id)))
    };
    let mut indices = HashMap::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        if indices.insert(row.node, index as u32).is_some() {
            return Err(tree_error(row, format!("duplicate node {}", row.node)));
        }
    }
    let mut features = SparseRows::new(n_features);
    let mut parents = Vec::with_capacity(rows.len());
    let mut root = None;
    for row in rows {
        parents.push(match row.parent {
            Some(parent) => Some(*indices.get(&parent).ok_or_else(|| {
                tree_error(
                    row,
                    format!("node {} has parent {parent}, which is not a node of the tree", row.node),
                )
            })?),
            None => match root.replace(row.node) {
                Some(other) => {
                    return Err(tree_error(
                        row,
                        format!(
                            "expected one root, got several: nodes {other} and {} have no parent",
                            row.node
                        ),
                    ));
                }
                None => None,
            },
        });
        let (columns, values) = &entries[row.chunk];
        let words = columns[row.words.clone()].iter().copied().zip(values[row.words.clone()].iter().copied());
        features.push(words).map_err(|e| tree_error(row, e.to_string()))?;
    }
    let first_line = rows.first().map_or(1, |row| row.line);
    Tree::new(id, parents, features).map_err(|e| Error::line(path, first_line, e.to_string()))
}
