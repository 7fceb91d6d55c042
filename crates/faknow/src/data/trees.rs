//! From files of propagation trees to data sets.

use std::collections::HashSet;
use std::path::Path;

use faknow_data::graph::{
    self, RawTree, TfIdf, Tree, TreeJsonReader, event_k_fold, event_split, label_trees, positions_by_id,
    read_npz_trees, read_td_rvnn, read_tree_ids, read_tree_labels, read_upfd,
};
use faknow_data::text::{Tokenizer, Vocab};
use faknow_data::{Classes, FieldDataset, stratified_split};

use crate::config::{Config, DataConfig, Weighting};
use crate::data::corpus::{Corpus, TestRecords, cut, training_part};
use crate::data::encoders::{FieldEncoders, TreeEncoder, WordEncoder};
use crate::data::records::vocab_options;
use crate::data::source::DataSource;
use crate::{Error, Result};

/// Trees of training, validation and test, and how their nodes became features.
struct Parts {
    train: FieldDataset,
    valid: Option<FieldDataset>,
    test: Option<FieldDataset>,
    words: Option<WordEncoder>,
    tf_idf: Option<TfIdf>,
}

/// Reads the trees of `config` from this source; `saved` are the encoders of a run that is resumed.
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
        _ => from_json(config, config.train_file()?, &classes, n_features, words)?,
    };
    let Parts { train, valid, test, words, tf_idf } = parts;
    let file = config.training_source()?;
    train.check_classes(classes.names()).map_err(|e| training_part(file, e))?;
    let trees = Some(TreeEncoder { n_features: train.n_node_features(), tf_idf });
    Ok(Corpus {
        train,
        valid,
        test: test.filter(|_| test_records == TestRecords::Used),
        encoders: FieldEncoders { words, trees },
        classes,
        test_records,
    })
}

/// Trees of one file or directory, which files of ids, or the settings of the split, cut.
fn from_file(config: &Config, file: &Path, classes: &Classes, n_features: Option<usize>) -> Result<Parts> {
    let data = &config.data;
    let mut all = labeled(config, file, classes, n_features)?;
    let source = data.labels.as_deref().unwrap_or(file);
    let picked = |ids: &Path| -> Result<Vec<usize>> { Ok(positions_by_id(&all, &read_tree_ids(ids)?, ids)?) };
    let [train, valid, test] = match (&data.train_ids, &data.test_ids, &data.valid_ids) {
        (Some(train), test, valid) => {
            let mut train = picked(train)?;
            let test = test.as_deref().map(picked).transpose()?.unwrap_or_default();
            let valid = match valid.as_deref() {
                Some(valid) => picked(valid)?,
                None => {
                    let [share, valid, _] = data.split;
                    let ratios = [share / (share + valid), valid / (share + valid), 0.0];
                    let [rest, valid, _] = split(config, &all, &train, ratios, source)?;
                    train = rest;
                    valid
                }
            };
            [train, valid, test]
        }
        (None, Some(_), _) => return Err(without_training("data.test_ids")),
        (None, None, Some(_)) => return Err(without_training("data.valid_ids")),
        (None, None, None) => {
            let usable: Vec<usize> = (0..all.len()).filter(|&tree| all[tree].label().is_some()).collect();
            match config.data.fold {
                Some(fold) if data.split_by_event => {
                    let (events, labels) = events_and_labels(&all, &usable, source)?;
                    let mut folds = event_k_fold(&events, &labels, fold.n_folds, config.seed)
                        .map_err(|e| Error::setting("data.fold", e))?;
                    let test = folds.swap_remove(fold.number - 1);
                    let [share, valid, _] = data.split;
                    let ratios = [share / (share + valid), valid / (share + valid), 0.0];
                    let others: Vec<usize> = folds.concat().into_iter().map(|at| usable[at]).collect();
                    let [train, valid, _] = split(config, &all, &others, ratios, source)?;
                    [train, valid, test.into_iter().map(|at| usable[at]).collect()]
                }
                Some(_) => {
                    let labels = || Ok(events_and_labels(&all, &usable, source)?.1);
                    let parts = cut(config, labels)?.unwrap_or_default();
                    parts.map(|part| part.into_iter().map(|at| usable[at]).collect())
                }
                None => split(config, &all, &usable, data.split, source)?,
            }
        }
    };
    check_disjoint(&all, [&train, &valid, &test])?;
    for &tree in train.iter().chain(&valid).chain(&test) {
        label_of(&all[tree], source)?;
    }
    let tf_idf = tf_idf(config, !file.is_dir(), train.iter().map(|&tree| &all[tree]));
    weigh(&mut all, tf_idf.as_ref())?;
    // No tree is in two parts: they are moved, since there may be millions of nodes.
    let mut all: Vec<Option<Tree>> = all.into_iter().map(Some).collect();
    let mut part = |trees: &[usize]| -> Result<Option<FieldDataset>> {
        let chosen: Vec<Tree> = trees.iter().filter_map(|&tree| all[tree].take()).collect();
        Ok((!chosen.is_empty()).then(|| FieldDataset::from_trees(chosen)).transpose()?)
    };
    let train = part(&train)?.ok_or_else(|| empty(config))?;
    Ok(Parts { train, valid: part(&valid)?, test: part(&test)?, words: None, tf_idf })
}

/// How features are to be weighed, which the training trees tell; `counts_words` says what they are.
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

/// Weighs the features of all trees, if they are to be weighed.
pub(crate) fn weigh(trees: &mut [Tree], tf_idf: Option<&TfIdf>) -> Result<()> {
    let Some(tf_idf) = tf_idf else { return Ok(()) };
    Ok(trees.iter_mut().try_for_each(|tree| tf_idf.apply(tree))?)
}

/// All trees of a file, with the labels that are known.
fn labeled(config: &Config, file: &Path, classes: &Classes, n_features: Option<usize>) -> Result<Vec<Tree>> {
    let trees = read_trees(file, n_features)?;
    match &config.data.labels {
        Some(labels) => Ok(label_trees(trees, &read_tree_labels(labels)?, classes, labels)?),
        None if file.is_dir() => Ok(trees),
        None => Err(Error::config("data.labels", "no labels of the trees")),
    }
}

/// Cuts some of the trees by their classes, or by whole events.
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
    Ok(parts.map(|places| places.into_iter().map(|at| part[at]).collect()))
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
    let message = || format!("tree `{}` is to be used, but has no label", tree.id());
    tree.label().ok_or_else(|| faknow_data::Error::file(source, message()).into())
}

/// A tree that is trained on must not be tested on.
fn check_disjoint(all: &[Tree], parts: [&Vec<usize>; 3]) -> Result<()> {
    let mut seen = HashSet::new();
    match parts.into_iter().flatten().find(|&&tree| !seen.insert(tree)) {
        Some(&tree) => Err(Error::config(
            "data.train_ids",
            format!("tree `{}` is in two of the files of ids: expected each in one at most", all[tree].id()),
        )),
        None => Ok(()),
    }
}

fn without_training(key: &str) -> Error {
    Error::config(key, "expected `data.train_ids` too, which name the training trees")
}

fn empty(config: &Config) -> Error {
    let path = config.training_source().unwrap_or(Path::new("")).to_path_buf();
    faknow_data::Error::file(path, "no trees to train on").into()
}

/// The graphs of a UPFD data set, by its own split.
fn from_upfd(config: &Config, dir: &Path) -> Result<Parts> {
    let mut upfd = read_upfd(dir, &config.data.feature)?;
    let tf_idf = tf_idf(config, false, upfd.train.iter().map(|&tree| &upfd.trees[tree]));
    weigh(&mut upfd.trees, tf_idf.as_ref())?;
    let all = FieldDataset::from_trees(upfd.trees)?;
    let part = |indices: &[usize]| -> Result<Option<FieldDataset>> {
        Ok((!indices.is_empty()).then(|| all.subset(indices)).transpose()?)
    };
    let train = part(&upfd.train)?.ok_or_else(|| empty(config))?;
    Ok(Parts { train, valid: part(&upfd.valid)?, test: part(&upfd.test)?, words: None, tf_idf })
}

/// Users' own trees as JSON lines: validation and test have files of their own, or a share of the training file.
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
    let other = |file: &Option<std::path::PathBuf>| file.as_deref().map(read).transpose();
    let (own, valid, test) = (read(file)?, other(&data.valid)?, other(&data.test)?);
    // The same width in all files, though the largest position is in one of them.
    let widths = [Some(&own), valid.as_ref(), test.as_ref()]
        .map(|trees| trees.map_or(0, |t| graph::n_raw_features(t)));
    let n_features = n_features.or(widths.into_iter().max());
    let labels = || {
        let label = |tree: &RawTree| {
            let message = || format!("tree `{}` has no label", tree.id);
            tree.label.ok_or_else(|| faknow_data::Error::file(file, message()).into())
        };
        own.iter().map(label).collect::<Result<Vec<usize>>>()
    };
    let parts = cut(config, labels)?;
    let mut own: Vec<Option<RawTree>> = own.into_iter().map(Some).collect();
    let mut take = |part: &[usize]| part.iter().filter_map(|&at| own[at].take()).collect::<Vec<RawTree>>();
    let (train, own_valid, own_test) = match parts {
        None => (own.into_iter().flatten().collect(), Vec::new(), Vec::new()),
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
    weigh(&mut train, tf_idf.as_ref())?;
    let data_set = |trees: Vec<RawTree>, file: &Path| -> Result<Option<FieldDataset>> {
        let mut trees = to_trees(trees, words.as_ref(), n_features, file)?;
        weigh(&mut trees, tf_idf.as_ref())?;
        Ok((!trees.is_empty()).then(|| FieldDataset::from_trees(trees)).transpose()?)
    };
    let part = |of_file: Option<Vec<RawTree>>, path: &Option<std::path::PathBuf>, share: Vec<RawTree>| match (
        of_file, path,
    ) {
        (Some(trees), Some(path)) => data_set(trees, path),
        _ => data_set(share, file),
    };
    let valid = part(valid, &data.valid, own_valid)?;
    let test = part(test, &data.test, own_test)?;
    if train.is_empty() {
        return Err(empty(config));
    }
    Ok(Parts { train: FieldDataset::from_trees(train)?, valid, test, words, tf_idf })
}

/// Trees whose nodes' texts are counted by these words, or whose features are as they stand.
pub(crate) fn to_trees(
    trees: Vec<RawTree>,
    words: Option<&WordEncoder>,
    n_features: Option<usize>,
    file: &Path,
) -> Result<Vec<Tree>> {
    let words = words.map(|words: &WordEncoder| -> (&Tokenizer, &Vocab) { (&words.tokenizer, &words.vocab) });
    Ok(graph::raw_to_trees(trees, words, n_features, file)?)
}

/// All trees that `data` names, labeled where labels are known, for a detector with these inputs.
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
                Some(_) => labeled(&config, file, classes, Some(n_features))?,
                None => read_trees(file, Some(n_features))?,
            };
            let Some(ids) = &data.test_ids else { return Ok(all) };
            let chosen = positions_by_id(&all, &read_tree_ids(ids)?, ids)?;
            Ok(chosen.into_iter().map(|tree| all[tree].clone()).collect())
        }
        (None, Some(dir), None) => {
            let upfd = read_upfd(dir, &data.feature)?;
            Ok(upfd.test.into_iter().map(|tree| upfd.trees[tree].clone()).collect())
        }
        (None, None, Some(file)) => {
            let trees = TreeJsonReader::open(file, Some(classes))?.collect::<faknow_data::Result<_>>()?;
            to_trees(trees, words, Some(n_features), file)
        }
        _ => Err(Error::config("data.trees", "expected one of `data.trees`, `data.upfd` and `data.train`")),
    }
}

fn read_trees(file: &Path, n_features: Option<usize>) -> Result<Vec<Tree>> {
    Ok(if file.is_dir() { read_npz_trees(file, None)? } else { read_td_rvnn(file, n_features)? })
}
