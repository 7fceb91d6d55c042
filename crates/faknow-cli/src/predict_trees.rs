//! `faknow predict` for detectors that judge propagation trees.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use anyhow::Result;
use faknow::Detector;
use faknow::config::DataConfig;
use faknow::data::graph::{Tree, TreeJsonReader};
use serde_json::{Map, Value, json};

use crate::writer::Writer;

/// Trees that are judged and written together.
const CHUNK: usize = 256;

/// A tree with the ids of its nodes.
struct Named {
    tree: Tree,
    nodes: Vec<String>,
}

/// Judges the trees that `data` names, in a file of all of them; nodes are named by their places, from 0.
pub(crate) fn of_file(
    detector: &Detector,
    data: &DataConfig,
    explain: bool,
    writer: &mut Writer,
) -> Result<()> {
    let mut trees = detector.read_trees(data)?.into_iter().map(|tree| {
        let nodes = (0..tree.n_nodes()).map(|node| node.to_string()).collect();
        Named { tree, nodes }
    });
    loop {
        let chunk: Vec<Named> = trees.by_ref().take(CHUNK).collect();
        if chunk.is_empty() || !judge(detector, chunk, explain, writer)? {
            return Ok(());
        }
    }
}

/// Judges trees as JSON lines, from a file or, for `-`, from standard input.
pub(crate) fn of_json(detector: &Detector, input: &Path, explain: bool, writer: &mut Writer) -> Result<()> {
    let mut reader = if input == Path::new("-") {
        let input: Box<dyn BufRead + Send> = Box::new(BufReader::new(std::io::stdin()));
        TreeJsonReader::from_reader(input, "standard input", None)
    } else {
        TreeJsonReader::open(input, None)?
    };
    loop {
        let (mut chunk, mut end) = (Vec::new(), None);
        while chunk.len() < CHUNK && end.is_none() {
            match reader.next() {
                Some(Ok(tree)) => chunk.push(tree),
                Some(Err(error)) => end = Some(Err(error)),
                None => end = Some(Ok(())),
            }
        }
        let nodes: Vec<Vec<String>> = chunk.iter().map(|tree| tree.node_ids.clone()).collect();
        let trees = detector.to_trees(chunk, input)?.into_iter().zip(nodes);
        let trees = trees.map(|(tree, nodes)| Named { tree, nodes }).collect();
        if !judge(detector, trees, explain, writer)? {
            return Ok(());
        }
        match end {
            None => {}
            // What stands before a broken line is written by now.
            Some(end) => return Ok(end?),
        }
    }
}

/// Judges and writes; answers whether anybody still reads.
fn judge(detector: &Detector, chunk: Vec<Named>, explain: bool, writer: &mut Writer) -> Result<bool> {
    let trees: Vec<Tree> = chunk.iter().map(|named| named.tree.clone()).collect();
    let predictions = detector.predict_trees(trees.clone())?;
    let explanations = if explain { detector.explain_trees(trees)? } else { Vec::new() };
    for (place, (named, prediction)) in chunk.iter().zip(&predictions).enumerate() {
        let mut fields = Map::new();
        fields.insert("id".into(), named.tree.id().into());
        if let Some(parts) = explanations.get(place) {
            let nodes = named.nodes.iter().zip(parts);
            let nodes = nodes.map(|(id, part)| json!({ "id": id, "contribution": part }));
            fields.insert("nodes".into(), nodes.collect::<Value>());
        }
        match writer.write(fields, prediction) {
            // Whoever read us has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
            other => other?,
        }
    }
    match writer.flush() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => {
            other?;
            Ok(true)
        }
    }
}
