//! Datasets from files of propagation trees as JSON lines.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use faknow_data::graph::{self, RawTree, Tree, TreeJsonReader};
use faknow_data::text::{Tokenizer, Vocab};
use faknow_data::{Classes, FieldDataset};

use crate::Result;
use crate::config::{Config, DataFiles};
use crate::data::corpus;
use crate::data::encoders::WordEncoder;
use crate::data::records::vocab_options;
use crate::data::source::check_text_options;
use crate::data::trees::{Parts, apply_weights, no_training_trees, tf_idf, without_event};

/// The content of files of trees as JSON lines, for messages.
pub(crate) const TREES: &str = "trees as JSON lines";

/// Reads trees as JSON lines; validation and test have separate files, or are fractions of the training file.
pub(super) fn load(
    config: &Config,
    file: &Path,
    classes: &Classes,
    n_features: Option<usize>,
    saved: Option<WordEncoder>,
) -> Result<Parts> {
    let data = &config.data;
    let single = |files: &Option<DataFiles>, key| -> Result<Option<PathBuf>> {
        Ok(files.as_ref().map(|files| files.single(key, TREES)).transpose()?.map(Path::to_path_buf))
    };
    let (valid_file, test_file) = (single(&data.valid, "data.valid")?, single(&data.test, "data.test")?);
    let other = |file: &Option<PathBuf>| file.as_deref().map(|file| read(file, classes)).transpose();
    let (all, valid, test) = (read(file, classes)?, other(&valid_file)?, other(&test_file)?);
    for (trees, file) in [(&valid, &valid_file), (&test, &test_file)] {
        if let (Some(trees), Some(file)) = (trees, file) {
            trees.iter().try_for_each(|tree| label_of(tree, file).map(drop))?;
        }
    }
    // All files have the same number of features, that of the largest feature index.
    let widths = [Some(&all), valid.as_ref(), test.as_ref()]
        .map(|trees| trees.map_or(0, |t| graph::n_raw_features(t)));
    let n_features = n_features.or(widths.into_iter().max());
    let parts = corpus::split_samples(config, || {
        let labels = all.iter().map(|tree| label_of(tree, file)).collect::<Result<Vec<usize>>>()?;
        Ok((all.iter().map(|tree| tree.event.as_deref()).collect(), labels))
    })?;
    let warnings = without_event(config, all.iter().map(|tree| tree.event.as_deref())).into_iter().collect();
    let mut all: Vec<Option<RawTree>> = all.into_iter().map(Some).collect();
    let mut take =
        |part: &[usize]| part.iter().filter_map(|&index| all[index].take()).collect::<Vec<RawTree>>();
    let (train, split_valid, split_test) = match parts {
        None => (all.into_iter().flatten().collect(), Vec::new(), Vec::new()),
        Some([train, valid, test]) => (take(&train), take(&valid), take(&test)),
    };
    let words = match (saved, train.first().is_some_and(RawTree::has_texts)) {
        (Some(words), _) => Some(words),
        (None, true) => {
            let tokenizer = Tokenizer::new(config.text.tokenizer_config()?)?;
            let vocab = graph::tree_vocab(&train, &tokenizer, &vocab_options(&config.text))?;
            Some(WordEncoder { vocab, tokenizer })
        }
        (None, false) => {
            check_text_options(config)?;
            None
        }
    };
    let mut train = to_trees(train, words.as_ref(), n_features, file)?;
    let tf_idf = tf_idf(config, words.is_some(), &train);
    apply_weights(&mut train, tf_idf.as_ref())?;
    let dataset = |trees: Vec<RawTree>, file: &Path| -> Result<Option<FieldDataset>> {
        let mut trees = to_trees(trees, words.as_ref(), n_features, file)?;
        apply_weights(&mut trees, tf_idf.as_ref())?;
        Ok((!trees.is_empty()).then(|| FieldDataset::from_trees(trees)).transpose()?)
    };
    let part =
        |separate: Option<Vec<RawTree>>, path: &Option<PathBuf>, rest: Vec<RawTree>| match (separate, path) {
            (Some(trees), Some(path)) => dataset(trees, path),
            _ => dataset(rest, file),
        };
    let valid = part(valid, &valid_file, split_valid)?;
    let test = part(test, &test_file, split_test)?;
    if train.is_empty() {
        return Err(no_training_trees(config));
    }
    Ok(Parts { train: FieldDataset::from_trees(train)?, valid, test, words, tf_idf, warnings })
}

/// Reads the trees of a file, whose ids must be distinct.
fn read(file: &Path, classes: &Classes) -> Result<Vec<RawTree>> {
    let trees: Vec<RawTree> =
        TreeJsonReader::open(file, Some(classes))?.collect::<faknow_data::Result<Vec<_>>>()?;
    let mut lines: HashMap<&str, usize> = HashMap::with_capacity(trees.len());
    for tree in &trees {
        if let Some(line) = lines.insert(&tree.id, tree.line) {
            let message = format!("tree `{}`: expected distinct ids, got that of line {line}", tree.id);
            return Err(faknow_data::Error::line(file, tree.line, message).into());
        }
    }
    Ok(trees)
}

fn label_of(tree: &RawTree, file: &Path) -> Result<usize> {
    let message = || format!("tree `{}`: expected a label, got none", tree.id);
    tree.label.ok_or_else(|| faknow_data::Error::line(file, tree.line, message()).into())
}

/// Encodes trees: counts the words of node texts, or uses the features of nodes.
pub(crate) fn to_trees(
    trees: Vec<RawTree>,
    words: Option<&WordEncoder>,
    n_features: Option<usize>,
    file: &Path,
) -> Result<Vec<Tree>> {
    let words = words.map(|words: &WordEncoder| -> (&Tokenizer, &Vocab) { (&words.tokenizer, &words.vocab) });
    Ok(graph::raw_to_trees(trees, words, n_features, file)?)
}
