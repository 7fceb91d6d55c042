//! Synthetic threads in the raw form of a public dataset, for trying out their conversion.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{CascadeOptions, SynthOptions, cascades, generate};
use crate::common::write_atomically;
use crate::graph::Tree;
use crate::{Error, Result};

/// Labels of the threads, by the class of their posts.
const LABELS: [&str; 2] = ["true", "false"];

/// Writes posts with their propagation trees to a directory in the form of the Twitter15 and Twitter16 datasets (ACL 2017):
/// `label.txt`, `source_tweets.txt`, and `tree/` with a file per thread. Returns the paths of the first two and of the
/// directory.
///
/// # Errors
/// As [`generate`], or a file cannot be written.
pub fn write_threads(dir: &Path, options: &SynthOptions) -> Result<[PathBuf; 3]> {
    let posts = generate(options)?;
    let trees =
        CascadeOptions { n_trees: 4 * posts.len() + 100, mean_size: 6.0, ..CascadeOptions::default() };
    let mut of_class: [Vec<Tree>; 2] = [Vec::new(), Vec::new()];
    for tree in cascades(&trees)? {
        of_class[tree.label().unwrap_or(0).min(1)].push(tree);
    }
    let tree_dir = dir.join("tree");
    std::fs::create_dir_all(&tree_dir).map_err(|error| Error::io(&tree_dir, error))?;
    let write = |path: &Path, text: String| {
        write_atomically(path, |file| file.write_all(text.as_bytes())).map_err(|error| Error::io(path, error))
    };
    let (mut labels, mut texts) = (String::new(), String::new());
    for (index, post) in posts.iter().enumerate() {
        let id = 1_000_000 + 1_000 * index as u64;
        labels += &format!("{}:{id}\n", LABELS[post.label]);
        texts += &format!("{id}\t{}\n", post.text.replace(['\t', '\n'], " "));
        if let Some(tree) = of_class[post.label].pop() {
            write(&tree_dir.join(format!("{id}.txt")), edges(&tree, id))?;
        }
    }
    let paths = [dir.join("label.txt"), dir.join("source_tweets.txt"), tree_dir];
    write(&paths[0], labels)?;
    write(&paths[1], texts)?;
    Ok(paths)
}

/// Returns the edges of a tree, one per line: user, tweet and minutes of the parent and of the reply.
fn edges(tree: &Tree, id: u64) -> String {
    let node = |node: usize| format!("['{}', '{}', '{node}.0']", 500 + node, id + node as u64);
    let mut lines = String::new();
    for (index, parent) in tree.parents().iter().enumerate() {
        let parent =
            parent.map_or_else(|| "['ROOT', 'ROOT', '0.0']".to_owned(), |parent| node(parent as usize));
        lines += &format!("{parent}->{}\n", node(index));
    }
    lines
}
