//! Datasets from files of propagation trees.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use faknow_data::graph::{
    self, RawTree, TfIdf, Tree, TreeJsonReader, event_k_fold, event_split, label_trees, positions_by_id,
    read_npz_trees, read_td_rvnn, read_tree_ids, read_tree_labels, read_upfd,
};
use faknow_data::text::{Tokenizer, Vocab};
use faknow_data::{Classes, FieldDataset, stratified_split};

use crate::config::{Config, DataConfig, DataFiles, Weighting};
use crate::data::corpus::{self, Corpus, TestRecords, training_error};
use crate::data::encoders::{FieldEncoders, TreeEncoder, WordEncoder};
use crate::data::left_out::LeftOutRecords;
use crate::data::records::vocab_options;
use crate::data::source::DataSource;
use crate::{Error, Result};

/// The content of files of trees as JSON lines, for messages.
pub(crate) const TREES: &str = "trees as JSON lines";

/// The datasets of training, validation and test, with the encoders of their nodes.
struct Parts {
    train: FieldDataset,
    valid: Option<FieldDataset>,
    test: Option<FieldDataset>,
    words: Option<WordEncoder>,
    tf_idf: Option<TfIdf>,
}

/// Reads the trees of `config` from `source`; `saved` are the encoders of a resumed run.
pub(crate) fn load(
    config: &Config,
    source: DataSource,
    saved: Option<FieldEncoders>,
    test_records: TestRecords,
) -> Result<Corpus> {
    let classes = config.data.to_classes()?;
    let FieldEncoders { words, trees } = saved.unwrap_or_default();
    let n_features = trees.map(|trees| trees.n_features);
    let data = &config.data;
    let parts = match (source, &data.trees, &data.upfd) {
        (DataSource::TreeFile, Some(trees), _) => from_file(config, trees, &classes, n_features)?,
        (DataSource::Upfd, _, Some(dir)) => from_upfd(config, dir)?,
        _ => from_json(
            config,
            config.train_files()?.single("data.train", TREES)?,
            &classes,
            n_features,
            words,
        )?,
    };
    let Parts { train, valid, test, words, tf_idf } = parts;
    let file = config.training_source()?;
    train.check_classes(classes.names()).map_err(|e| training_error(file, e))?;
    let trees = Some(TreeEncoder { n_features: train.n_node_features(), tf_idf });
    Ok(Corpus {
        train,
        valid,
        test: test.filter(|_| test_records == TestRecords::Include),
        encoders: FieldEncoders { words, trees },
        classes,
        test_records,
        left_out: LeftOutRecords::default(),
    })
}

/// Reads the trees of a file or directory, split by files of ids or by the settings of the split.
fn from_file(config: &Config, file: &Path, classes: &Classes, n_features: Option<usize>) -> Result<Parts> {
    let data = &config.data;
    let mut all = read_labeled(config, file, classes, n_features)?;
    let source = data.labels.as_deref().unwrap_or(file);
    let indices_of =
        |ids: &Path| -> Result<Vec<usize>> { Ok(positions_by_id(&all, &read_tree_ids(ids)?, ids)?) };
    let [train, valid, test] = match (&data.train_ids, &data.test_ids, &data.valid_ids) {
        (Some(train), test, valid) => {
            let mut train = indices_of(train)?;
            let test = test.as_deref().map(indices_of).transpose()?.unwrap_or_default();
            let valid = match valid.as_deref() {
                Some(valid) => indices_of(valid)?,
                None => {
                    let [train_ratio, valid, _] = data.split;
                    let ratios = [train_ratio / (train_ratio + valid), valid / (train_ratio + valid), 0.0];
                    let [rest, valid, _] = split(config, &all, &train, ratios, source)?;
                    train = rest;
                    valid
                }
            };
            [train, valid, test]
        }
        (None, Some(_), _) => return Err(missing_train_ids("data.test_ids")),
        (None, None, Some(_)) => return Err(missing_train_ids("data.valid_ids")),
        (None, None, None) => {
            let labeled: Vec<usize> = (0..all.len()).filter(|&tree| all[tree].label().is_some()).collect();
            match config.data.fold {
                Some(fold) if data.split_by_event => {
                    let (events, labels) = events_and_labels(&all, &labeled, source)?;
                    let mut folds = event_k_fold(&events, &labels, fold.n_folds, config.seed)
                        .map_err(|e| Error::from_data("data.fold", e))?;
                    let test = folds.swap_remove(fold.number - 1);
                    let [train_ratio, valid, _] = data.split;
                    let ratios = [train_ratio / (train_ratio + valid), valid / (train_ratio + valid), 0.0];
                    let others: Vec<usize> = folds.concat().into_iter().map(|index| labeled[index]).collect();
                    let [train, valid, _] = split(config, &all, &others, ratios, source)?;
                    [train, valid, test.into_iter().map(|index| labeled[index]).collect()]
                }
                Some(_) => {
                    let labels = || Ok(events_and_labels(&all, &labeled, source)?.1);
                    let parts = corpus::split(config, labels)?.unwrap_or_default();
                    parts.map(|part| part.into_iter().map(|index| labeled[index]).collect())
                }
                None => split(config, &all, &labeled, data.split, source)?,
            }
        }
    };
    check_disjoint(&all, [&train, &valid, &test])?;
    for &tree in train.iter().chain(&valid).chain(&test) {
        label_of(&all[tree], source)?;
    }
    let tf_idf = tf_idf(config, !file.is_dir(), train.iter().map(|&tree| &all[tree]));
    apply_weights(&mut all, tf_idf.as_ref())?;
    // Trees are moved rather than cloned, since no tree is in two parts.
    let mut all: Vec<Option<Tree>> = all.into_iter().map(Some).collect();
    let mut part = |trees: &[usize]| -> Result<Option<FieldDataset>> {
        let selected: Vec<Tree> = trees.iter().filter_map(|&tree| all[tree].take()).collect();
        Ok((!selected.is_empty()).then(|| FieldDataset::from_trees(selected)).transpose()?)
    };
    let train = part(&train)?.ok_or_else(|| no_training_trees(config))?;
    Ok(Parts { train, valid: part(&valid)?, test: part(&test)?, words: None, tf_idf })
}

/// Returns the weights of features by the training trees, if they are to be weighted; `counts_words` is whether features are
/// word counts.
fn tf_idf<'a>(
    config: &Config,
    counts_words: bool,
    train: impl IntoIterator<Item = &'a Tree>,
) -> Option<TfIdf> {
    let default = if counts_words { Weighting::TfIdf } else { Weighting::None };
    match config.data.weighting.unwrap_or(default) {
        Weighting::TfIdf => Some(TfIdf::fit(train)),
        Weighting::None => None,
    }
}

/// Weights the features of all trees, if there are weights.
pub(crate) fn apply_weights(trees: &mut [Tree], tf_idf: Option<&TfIdf>) -> Result<()> {
    let Some(tf_idf) = tf_idf else { return Ok(()) };
    Ok(trees.iter_mut().try_for_each(|tree| tf_idf.apply(tree))?)
}

/// Reads all trees of a file, with their labels.
fn read_labeled(
    config: &Config,
    file: &Path,
    classes: &Classes,
    n_features: Option<usize>,
) -> Result<Vec<Tree>> {
    let trees = read_trees(file, n_features)?;
    match &config.data.labels {
        Some(labels) => Ok(label_trees(trees, &read_tree_labels(labels)?, classes, labels)?),
        None if file.is_dir() => Ok(trees),
        None => Err(Error::config("data.labels", "no labels of the trees")),
    }
}

/// Splits some of the trees, stratified by class or by event.
fn split(
    config: &Config,
    all: &[Tree],
    part: &[usize],
    ratios: [f64; 3],
    source: &Path,
) -> Result<[Vec<usize>; 3]> {
    let (events, labels) = events_and_labels(all, part, source)?;
    let parts = if config.data.split_by_event {
        event_split(&events, &labels, ratios, config.seed)?
    } else {
        stratified_split(&labels, ratios, config.seed)?
    };
    Ok(parts.map(|indices| indices.into_iter().map(|index| part[index]).collect()))
}

fn events_and_labels<'a>(
    all: &'a [Tree],
    part: &[usize],
    source: &Path,
) -> Result<(Vec<Option<&'a str>>, Vec<usize>)> {
    let labels = part.iter().map(|&tree| label_of(&all[tree], source)).collect::<Result<_>>()?;
    Ok((part.iter().map(|&tree| all[tree].event()).collect(), labels))
}

fn label_of(tree: &Tree, source: &Path) -> Result<usize> {
    let message = || format!("tree `{}`: expected a label, got none", tree.id());
    tree.label().ok_or_else(|| faknow_data::Error::file(source, message()).into())
}

/// Checks that no tree is in two parts.
fn check_disjoint(all: &[Tree], parts: [&Vec<usize>; 3]) -> Result<()> {
    let mut seen = HashSet::new();
    match parts.into_iter().flatten().find(|&&tree| !seen.insert(tree)) {
        Some(&tree) => Err(Error::config(
            "data.train_ids",
            format!("expected different ids in all id files, got tree `{}` in two of them", all[tree].id()),
        )),
        None => Ok(()),
    }
}

fn missing_train_ids(key: &str) -> Error {
    Error::config(key, "requires `data.train_ids`, the ids of the training trees")
}

fn no_training_trees(config: &Config) -> Error {
    let path = config.training_source().unwrap_or(Path::new("")).to_path_buf();
    faknow_data::Error::file(path, "expected training trees, got none").into()
}

/// Reads the graphs of a UPFD dataset with its own split.
fn from_upfd(config: &Config, dir: &Path) -> Result<Parts> {
    let mut upfd = read_upfd(dir, &config.data.feature)?;
    let tf_idf = tf_idf(config, false, upfd.train.iter().map(|&tree| &upfd.trees[tree]));
    apply_weights(&mut upfd.trees, tf_idf.as_ref())?;
    let all = FieldDataset::from_trees(upfd.trees)?;
    let part = |indices: &[usize]| -> Result<Option<FieldDataset>> {
        Ok((!indices.is_empty()).then(|| all.subset(indices)).transpose()?)
    };
    let train = part(&upfd.train)?.ok_or_else(|| no_training_trees(config))?;
    Ok(Parts { train, valid: part(&upfd.valid)?, test: part(&upfd.test)?, words: None, tf_idf })
}

/// Reads trees as JSON lines; validation and test have separate files, or are fractions of the training file.
fn from_json(
    config: &Config,
    file: &Path,
    classes: &Classes,
    n_features: Option<usize>,
    saved: Option<WordEncoder>,
) -> Result<Parts> {
    let data = &config.data;
    let read =
        |file: &Path| TreeJsonReader::open(file, Some(classes))?.collect::<faknow_data::Result<Vec<_>>>();
    let single = |files: &Option<DataFiles>, key| -> Result<Option<PathBuf>> {
        Ok(files.as_ref().map(|files| files.single(key, TREES)).transpose()?.map(Path::to_path_buf))
    };
    let (valid_file, test_file) = (single(&data.valid, "data.valid")?, single(&data.test, "data.test")?);
    let other = |file: &Option<PathBuf>| file.as_deref().map(read).transpose();
    let (all, valid, test) = (read(file)?, other(&valid_file)?, other(&test_file)?);
    // All files have the same number of features, that of the largest feature index.
    let widths = [Some(&all), valid.as_ref(), test.as_ref()]
        .map(|trees| trees.map_or(0, |t| graph::n_raw_features(t)));
    let n_features = n_features.or(widths.into_iter().max());
    let labels = || {
        let label = |tree: &RawTree| {
            let message = || format!("tree `{}`: expected a label, got none", tree.id);
            tree.label.ok_or_else(|| faknow_data::Error::file(file, message()).into())
        };
        all.iter().map(label).collect::<Result<Vec<usize>>>()
    };
    let parts = corpus::split(config, labels)?;
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
        (None, false) => None,
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
    Ok(Parts { train: FieldDataset::from_trees(train)?, valid, test, words, tf_idf })
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

/// Reads all trees of `data` for a detector with these encoders, with their labels if they have any.
pub(crate) fn read_all(
    data: &DataConfig,
    classes: &Classes,
    n_features: usize,
    words: Option<&WordEncoder>,
) -> Result<Vec<Tree>> {
    let config = Config { data: data.clone(), ..Config::default() };
    match (&data.trees, &data.upfd, &data.train) {
        (Some(file), None, None) => {
            let all = match &data.labels {
                Some(_) => read_labeled(&config, file, classes, Some(n_features))?,
                None => read_trees(file, Some(n_features))?,
            };
            let Some(ids) = &data.test_ids else { return Ok(all) };
            let positions = positions_by_id(&all, &read_tree_ids(ids)?, ids)?;
            Ok(positions.into_iter().map(|tree| all[tree].clone()).collect())
        }
        (None, Some(dir), None) => {
            let upfd = read_upfd(dir, &data.feature)?;
            Ok(upfd.test.into_iter().map(|tree| upfd.trees[tree].clone()).collect())
        }
        (None, None, Some(files)) => {
            let file = files.single("data.train", TREES)?;
            let trees = TreeJsonReader::open(file, Some(classes))?.collect::<faknow_data::Result<_>>()?;
            to_trees(trees, words, Some(n_features), file)
        }
        _ => Err(Error::config("data.trees", "expected one of `data.trees`, `data.upfd` and `data.train`")),
    }
}

fn read_trees(file: &Path, n_features: Option<usize>) -> Result<Vec<Tree>> {
    Ok(if file.is_dir() { read_npz_trees(file, None)? } else { read_td_rvnn(file, n_features)? })
}
