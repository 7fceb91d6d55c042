//! Trees in the text format of TD_RvNN: Twitter15, Twitter16, Weibo, PHEME.
//!
//! Ma, Gao and Wong, *Rumor Detection on Twitter with Tree-structured Recursive Neural Networks*, ACL 2018. One node a
//! line, columns separated by tabs: id of the root; number of the parent in its tree, or `None`; number of the node; two
//! columns that are not used; the words of the post as `word:count`, by spaces.

use std::path::Path;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::bounds::check_feature;
use super::{SparseRows, Tree};
use crate::{Error, Result};

/// Bytes that a thread reads at a time.
const CHUNK: usize = 1 << 18;

/// Reads trees, in the order of their first lines; nodes of a tree are in the order of their lines.
///
/// A tree's lines may be anywhere, a parent may stand behind its child, and nodes may have any different numbers. With
/// `n_features`, words are below that; without, the largest word of the file says how many there are.
///
/// # Errors
/// The file cannot be read; a line does not parse; the lines of a root are no tree: the error names the line.
pub fn read_td_rvnn(path: &Path, n_features: Option<usize>) -> Result<Vec<Tree>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let parsed: Vec<_> = chunks(&bytes).into_par_iter().map(parse_chunk).collect();
    let (mut rows, mut first_line, mut parts) = (Vec::new(), 1, Vec::new());
    for (part, result) in parsed.into_iter().enumerate() {
        let chunk = result.map_err(|(line, message)| Error::line(path, first_line + line, message))?;
        rows.extend(chunk.rows.into_iter().map(|row| Row { line: first_line + row.line, part, ..row }));
        first_line += chunk.n_lines;
        parts.push((chunk.columns, chunk.values));
    }
    let largest = parts.iter().flat_map(|(columns, _)| columns).max();
    let n_features = n_features.unwrap_or_else(|| largest.map_or(0, |&largest| largest as usize + 1));
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut trees: Vec<Vec<&Row<'_>>> = Vec::new();
    for row in &rows {
        let place = *places.entry(row.tree).or_insert_with(|| {
            trees.push(Vec::new());
            trees.len() - 1
        });
        trees[place].push(row);
    }
    let to_tree = |rows: &Vec<&Row<'_>>| build(path, rows, &parts, n_features);
    let trees: Vec<Tree> = trees.par_iter().map(to_tree).collect::<Result<_>>()?;
    if trees.is_empty() {
        return Err(Error::file(path, "the file holds no tree"));
    }
    Ok(trees)
}

/// A node, with its place in the file.
struct Row<'a> {
    /// Lines before it, in its chunk or in the file.
    line: usize,
    tree: &'a str,
    parent: Option<u64>,
    node: u64,
    /// The chunk that holds its words, and where.
    part: usize,
    words: std::ops::Range<usize>,
}

#[derive(Default)]
struct Chunk<'a> {
    n_lines: usize,
    rows: Vec<Row<'a>>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

/// The bytes in pieces that end where a line does.
fn chunks(bytes: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().skip(CHUNK).position(|&b| b == b'\n').map_or(rest.len(), |at| CHUNK + at + 1);
        let (chunk, others) = rest.split_at(end);
        chunks.push(chunk);
        rest = others;
    }
    chunks
}

fn parse_chunk(bytes: &[u8]) -> std::result::Result<Chunk<'_>, (usize, String)> {
    let mut chunk = Chunk::default();
    for line in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            parse_line(line, &mut chunk).map_err(|message| (chunk.n_lines, message))?;
        }
        chunk.n_lines += 1;
    }
    Ok(chunk)
}

fn parse_line<'a>(line: &'a [u8], chunk: &mut Chunk<'a>) -> std::result::Result<(), String> {
    let mut columns = line.split(|&b| b == b'\t');
    let mut n_columns = 0;
    let mut next = |name: &str| {
        n_columns += 1;
        columns.next().ok_or_else(|| {
            format!("expected 6 columns separated by tabs, got {}: `{name}` is missing", n_columns - 1)
        })
    };
    let (tree, parent, node) = (next("root id")?, next("parent")?, next("node")?);
    next("maximal degree")?;
    next("maximal length")?;
    let words = next("words")?;
    if columns.next().is_some() {
        return Err(
            "expected 6 columns separated by tabs, got more; the words must be in column 6".to_owned()
        );
    }
    let start = chunk.columns.len();
    for pair in words.split(|&b| b == b' ').filter(|pair| !pair.is_empty()) {
        let (word, count) = word_and_count(pair)
            .ok_or_else(|| format!("column 6: expected `word:count` with numbers, got `{}`", text(pair)))?;
        chunk
            .columns
            .push(check_feature(word).map_err(|what| format!("column 6: {what} in `{}`", text(pair)))?);
        chunk.values.push(count);
    }
    let tree = std::str::from_utf8(tree).ok().filter(|tree| !tree.is_empty());
    let tree =
        tree.ok_or_else(|| "column 1: expected the id of the root, got nothing or no text".to_owned())?;
    let number = |column, bytes: &[u8]| -> std::result::Result<u64, String> {
        let parsed = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
        parsed.ok_or_else(|| format!("column {column}: expected a node's number, got `{}`", text(bytes)))
    };
    let parent = if parent == b"None" { None } else { Some(number("2", parent)?) };
    let node = number("3", node)?;
    chunk.rows.push(Row {
        line: chunk.n_lines,
        tree,
        parent,
        node,
        part: 0,
        words: start..chunk.columns.len(),
    });
    Ok(())
}

/// `17:2`; a count may be a decimal number, and is not negative.
fn word_and_count(pair: &[u8]) -> Option<(u64, f32)> {
    let colon = pair.iter().position(|&b| b == b':')?;
    let word = std::str::from_utf8(&pair[..colon]).ok()?.parse().ok()?;
    let count = match &pair[colon + 1..] {
        [digit @ b'0'..=b'9'] => f32::from(digit - b'0'),
        other => std::str::from_utf8(other).ok()?.parse().ok()?,
    };
    (count >= 0.0 && f32::is_finite(count)).then_some((word, count))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(40).collect()
}

fn build(path: &Path, rows: &[&Row<'_>], parts: &[(Vec<u32>, Vec<f32>)], n_features: usize) -> Result<Tree> {
    let id = rows.first().map_or("", |row| row.tree);
    let wrong =
        |row: &Row<'_>, message: String| Error::line(path, row.line, format!("tree `{id}`: {message}"));
    let mut places = HashMap::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        if places.insert(row.node, place as u32).is_some() {
            return Err(wrong(row, format!("node {} comes twice", row.node)));
        }
    }
    let mut features = SparseRows::new(n_features);
    let mut parents = Vec::with_capacity(rows.len());
    let mut root = None;
    for row in rows {
        parents.push(match row.parent {
            Some(parent) => Some(*places.get(&parent).ok_or_else(|| {
                wrong(row, format!("node {} has parent {parent}, which is no node of the tree", row.node))
            })?),
            None => match root.replace(row.node) {
                Some(other) => {
                    return Err(wrong(
                        row,
                        format!("nodes {other} and {} are both without a parent", row.node),
                    ));
                }
                None => None,
            },
        });
        let (columns, values) = &parts[row.part];
        let words = columns[row.words.clone()].iter().copied().zip(values[row.words.clone()].iter().copied());
        features.push(words).map_err(|e| wrong(row, e.to_string()))?;
    }
    let at_start = rows.first().map_or(1, |row| row.line);
    Tree::new(id, parents, features).map_err(|e| Error::line(path, at_start, e.to_string()))
}
