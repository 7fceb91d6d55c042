//! Inspection of files of propagation trees.

use std::fmt;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use faknow_data::common::{printable_message, printable_name, printable_path};
use faknow_data::graph::{
    Tree, TreeJsonReader, TreeStats, UnmatchedLabels, label_trees, raw_to_trees, read_npz_trees,
    read_td_rvnn, read_tree_labels, read_upfd, tree_vocab,
};
use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{Classes, ColumnMap, Format, Input, ReadOptions, RecognizedClasses, recognize_classes};
use serde::{Serialize, Serializer};

use crate::Result;

/// Statistics of a file of propagation trees.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TreeInspection {
    /// Sizes, depths and other statistics.
    #[serde(flatten)]
    pub stats: TreeStats,
    /// Number of trees per class; `no label` for those without a label.
    #[serde(serialize_with = "as_map")]
    pub classes: Vec<(String, usize)>,
    /// Sentences about trees without a label and labels without a tree.
    pub problems: Vec<String>,
    /// The file or directory.
    pub path: PathBuf,
}

/// Returns whether a path contains trees: a directory, a text file in the TD_RvNN format, or JSON lines with `nodes`.
pub fn contains_trees(path: &Path) -> bool {
    let first_line = || {
        let mut line = String::new();
        let file = Input::open(path).ok()?;
        std::io::BufReader::new(file).read_line(&mut line).ok()?;
        Some(line)
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        _ if path.is_dir() => true,
        Some("txt") => first_line().is_some_and(|line| line.split('\t').count() == 6),
        Some("jsonl") => first_line().is_some_and(|line| line.contains("\"nodes\"")),
        _ => false,
    }
}

/// Inspects a file of trees; `labels` is the file of labels for formats without labels. Default of `classes`: all labels that
/// occur.
///
/// # Errors
/// A file is invalid, or a label does not belong to any class.
pub fn inspect_trees(
    path: &Path,
    labels: Option<&Path>,
    classes: Option<&Classes>,
) -> Result<TreeInspection> {
    let recognized = match (labels, classes) {
        (_, Some(_)) => None,
        (Some(labels), None) => {
            let labels = read_tree_labels(labels)?;
            Some(RecognizedClasses::from_values(labels.into_iter().map(|label| (label.label, 1))))
        }
        (None, None) if is_json_lines(path) => recognize_tree_classes(path).ok(),
        (None, None) => None,
    };
    // A single class has no order and no name for the other one.
    let label_classes = recognized.and_then(|recognized| Classes::new(recognized.names).ok());
    let classes = classes.or(label_classes.as_ref());
    let (trees, unmatched) = match (read(path, classes)?, labels, classes) {
        (trees, Some(file), Some(classes)) => {
            let labels = read_tree_labels(file)?;
            let unmatched = UnmatchedLabels::new(&trees, &labels);
            (label_trees(trees, &labels, classes, file)?, unmatched)
        }
        (trees, _, _) => (trees, UnmatchedLabels::default()),
    };
    let problems = [unmatched.describe_trees(), unmatched.describe_labels()].into_iter().flatten().collect();
    let stats = TreeStats::new(&trees);
    let name = |class: Option<usize>| match class {
        Some(class) => {
            classes.and_then(|classes| classes.name(class)).map_or_else(|| class.to_string(), str::to_owned)
        }
        None => "no label".to_owned(),
    };
    let classes = stats.classes.iter().map(|&(class, n)| (name(class), n)).collect();
    Ok(TreeInspection { stats, classes, problems, path: path.to_path_buf() })
}

fn read(path: &Path, classes: Option<&Classes>) -> Result<Vec<Tree>> {
    if path.join("A.txt").is_file() {
        return Ok(read_upfd(path, "profile")?.trees);
    }
    if path.is_dir() {
        return Ok(read_npz_trees(path, None)?);
    }
    if is_json_lines(path) {
        let trees = TreeJsonReader::open(path, classes)?.collect::<faknow_data::Result<Vec<_>>>()?;
        if !trees.first().is_some_and(|tree| tree.has_texts()) {
            return Ok(raw_to_trees(trees, None, None, path)?);
        }
        let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
        let vocab = tree_vocab(&trees, &tokenizer, &VocabOptions::default())?;
        return Ok(raw_to_trees(trees, Some((&tokenizer, &vocab)), None, path)?);
    }
    Ok(read_td_rvnn(path, None)?)
}

fn is_json_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

/// Recognizes the classes of trees as JSON lines by their labels.
pub(crate) fn recognize_tree_classes(path: &Path) -> faknow_data::Result<RecognizedClasses> {
    let columns = ColumnMap { label: Some("label".into()), ..ColumnMap::default() };
    recognize_classes(path, &ReadOptions { format: Some(Format::Jsonl), columns, ..ReadOptions::default() })
}

fn as_map<S: Serializer>(classes: &[(String, usize)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(classes.iter().map(|(name, n)| (name, n)))
}

impl fmt::Display for TreeInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.classes.iter().map(|(name, n)| format!("{} {n}", printable_name(name))).collect();
        write!(f, "{}\n{}\nlabels      {}", printable_path(&self.path), self.stats, counts.join(", "))?;
        self.problems.iter().try_for_each(|problem| write!(f, "\nproblem     {}", printable_message(problem)))
    }
}
