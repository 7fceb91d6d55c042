//! `faknow data inspect` for files of propagation trees.

use std::io::BufRead as _;
use std::path::Path;

use anyhow::Result;
use faknow::data::Classes;
use faknow::data::graph::{
    Tree, TreeJsonReader, TreeStats, label_trees, raw_to_trees, read_npz_trees, read_td_rvnn,
    read_tree_labels, read_upfd, tree_vocab,
};
use faknow::data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use serde_json::json;

use crate::console::print;

/// Whether a file or folder holds trees: a folder, a text of TD_RvNN, or JSON lines of objects with `nodes`.
pub(crate) fn holds_trees(path: &Path) -> bool {
    let first_line = || {
        let mut line = String::new();
        let file = std::fs::File::open(path).ok()?;
        std::io::BufReader::new(file).read_line(&mut line).ok()?;
        Some(line)
    };
    match path.extension().and_then(|ending| ending.to_str()) {
        _ if path.is_dir() => true,
        Some("txt") => first_line().is_some_and(|line| line.split('\t').count() == 6),
        Some("jsonl") => first_line().is_some_and(|line| line.contains("\"nodes\"")),
        _ => false,
    }
}

/// Prints what is in a file of trees; `labels` are those of a file without labels of its own.
pub(crate) fn inspect(
    path: &Path,
    labels: Option<&Path>,
    classes: Option<&Classes>,
    json: bool,
) -> Result<()> {
    // Without their names, the labels that occur are the classes.
    let found = match (labels, classes) {
        (Some(labels), None) => {
            let mut names: Vec<String> =
                read_tree_labels(labels)?.into_iter().map(|label| label.label).collect();
            names.sort();
            names.dedup();
            Some(Classes::new(names)?)
        }
        _ => None,
    };
    let classes = classes.or(found.as_ref());
    let trees = match (read(path, classes)?, labels, classes) {
        (trees, Some(file), Some(classes)) => label_trees(trees, &read_tree_labels(file)?, classes, file)?,
        (trees, _, _) => trees,
    };
    let stats = TreeStats::new(&trees);
    let name = |class: Option<usize>| match class {
        Some(class) => {
            classes.and_then(|classes| classes.name(class)).map_or_else(|| class.to_string(), str::to_owned)
        }
        None => "no label".to_owned(),
    };
    if json {
        let mut value = serde_json::to_value(&stats)?;
        let counts = stats.classes.iter().map(|&(class, n)| (name(class), json!(n))).collect();
        value["classes"] = serde_json::Value::Object(counts);
        value["path"] = json!(path);
        return print(&value.to_string());
    }
    let counts: Vec<String> =
        stats.classes.iter().map(|&(class, n)| format!("{} {n}", name(class))).collect();
    print(&format!("{}\n{stats}\nlabels      {}", path.display(), counts.join(", ")))
}

fn read(path: &Path, classes: Option<&Classes>) -> Result<Vec<Tree>> {
    if path.join("A.txt").is_file() {
        return Ok(read_upfd(path, "profile")?.trees);
    }
    if path.is_dir() {
        return Ok(read_npz_trees(path, None)?);
    }
    if path.extension().is_some_and(|ending| ending == "jsonl") {
        let trees = TreeJsonReader::open(path, classes)?.collect::<faknow::data::Result<Vec<_>>>()?;
        if !trees.first().is_some_and(|tree| tree.has_texts()) {
            return Ok(raw_to_trees(trees, None, None, path)?);
        }
        let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
        let vocab = tree_vocab(&trees, &tokenizer, &VocabOptions::default())?;
        return Ok(raw_to_trees(trees, Some((&tokenizer, &vocab)), None, path)?);
    }
    Ok(read_td_rvnn(path, None)?)
}
