//! Datasets from files of propagation trees.

use std::collections::HashSet;
use std::path::Path;

use faknow_data::graph::{
    TfIdf, Tree, TreeJsonReader, UnmatchedLabels, label_trees, positions_by_id, read_npz_trees, read_td_rvnn,
    read_tree_ids, read_tree_labels, read_upfd,
};
use faknow_data::{Classes, FieldDataset};

use crate::config::{Config, DataConfig, Weighting};
use crate::data::corpus::{self, Corpus, EventsAndLabels, TestRecords, training_error};
use crate::data::encoders::{FieldEncoders, TreeEncoder, WordEncoder};
use crate::data::left_out::LeftOutRecords;
use crate::data::source::DataSource;
use crate::data::tree_lines::{self, TREES, to_trees};
use crate::{Error, Result};

/// The datasets of training, validation and test, with the encoders of their nodes.
pub(super) struct Parts {
    pub(super) train: FieldDataset,
    pub(super) valid: Option<FieldDataset>,
    pub(super) test: Option<FieldDataset>,
    pub(super) words: Option<WordEncoder>,
    pub(super) tf_idf: Option<TfIdf>,
    pub(super) warnings: Vec<String>,
}

/// Reads the trees of `config` from `source`; `saved` are the encoders of a resumed run.
pub(crate) fn load(
    config: &Config,
    source: DataSource,
    saved: Option<FieldEncoders>,
    test_records: TestRecords,
) -> Result<Corpus> {
    let classes = config.data.to_classes()?;
    let FieldEncoders { words, trees, .. } = saved.unwrap_or_default();
    let n_features = trees.map(|trees| trees.n_features);
    let data = &config.data;
    let parts = match (source, &data.trees, &data.upfd) {
        (DataSource::TreeFile, Some(trees), _) => from_file(config, trees, &classes, n_features)?,
        (DataSource::Upfd, _, Some(dir)) => from_upfd(config, dir)?,
        _ => {
            let file = config.train_files()?.single("data.train", TREES)?;
            tree_lines::load(config, file, &classes, n_features, words)?
        }
    };
    let Parts { train, valid, test, words, tf_idf, warnings } = parts;
    let file = config.training_source()?;
    train.check_classes(classes.names()).map_err(|e| training_error(file, e))?;
    let trees = Some(TreeEncoder { n_features: train.n_node_features(), tf_idf });
    Ok(Corpus {
        train,
        valid,
        test: test.filter(|_| test_records == TestRecords::Include),
        encoders: FieldEncoders { words, trees, ..FieldEncoders::default() },
        classes,
        test_records,
        left_out: LeftOutRecords::default(),
        warnings,
    })
}

/// Reads the trees of a file or directory, split by files of ids or by the settings of the split.
fn from_file(config: &Config, file: &Path, classes: &Classes, n_features: Option<usize>) -> Result<Parts> {
    let data = &config.data;
    if file.is_dir() && data.labels.is_none() && !data.values.is_empty() {
        let message = "expected label values, got archives (.npz), whose labels are class indices";
        return Err(Error::config("data.values", message));
    }
    let (mut all, unmatched) = read_labeled(data, file, classes, n_features)?;
    let source = data.labels.as_deref().unwrap_or(file);
    let mut warnings = Vec::new();
    let [train, valid, test] = match &data.train_ids {
        Some(ids) => {
            let parts = split_by_ids(config, &all, ids, source)?;
            warnings.extend(unlisted(all.len(), &parts));
            parts
        }
        None => {
            for (ids, key) in [(&data.test_ids, "data.test_ids"), (&data.valid_ids, "data.valid_ids")] {
                if ids.is_some() {
                    return Err(Error::config(
                        key,
                        "requires `data.train_ids`, the ids of the training trees",
                    ));
                }
            }
            warnings.extend(left_out(&unmatched, source)?);
            let labeled: Vec<usize> = (0..all.len()).filter(|&tree| all[tree].label().is_some()).collect();
            let samples = || events_and_labels(&all, &labeled, source);
            match corpus::split_samples(config, samples)? {
                None => [labeled, Vec::new(), Vec::new()],
                Some(parts) => parts.map(|part| part.into_iter().map(|index| labeled[index]).collect()),
            }
        }
    };
    check_disjoint(&all, [(&train, "data.train_ids"), (&valid, "data.valid_ids"), (&test, "data.test_ids")])?;
    let used = || train.iter().chain(&valid).chain(&test);
    for &tree in used() {
        label_of(&all[tree], source)?;
    }
    warnings.extend(without_event(config, used().map(|&tree| all[tree].event())));
    let tf_idf = tf_idf(config, !file.is_dir(), train.iter().map(|&tree| &all[tree]));
    apply_weights(&mut all, tf_idf.as_ref())?;
    // Trees are moved rather than cloned, since no tree is in two parts.
    let mut all: Vec<Option<Tree>> = all.into_iter().map(Some).collect();
    let mut part = |trees: &[usize]| -> Result<Option<FieldDataset>> {
        let selected: Vec<Tree> = trees.iter().filter_map(|&tree| all[tree].take()).collect();
        Ok((!selected.is_empty()).then(|| FieldDataset::from_trees(selected)).transpose()?)
    };
    let train = part(&train)?.ok_or_else(|| no_training_trees(config))?;
    Ok(Parts { train, valid: part(&valid)?, test: part(&test)?, words: None, tf_idf, warnings })
}

/// Splits trees by files of ids; validation trees without a file are a fraction of the training trees.
fn split_by_ids(config: &Config, all: &[Tree], train_ids: &Path, source: &Path) -> Result<[Vec<usize>; 3]> {
    let data = &config.data;
    if data.fold.is_some() {
        let message = "expected trees to split into folds, got files of ids, which define the parts: remove `data.train_ids`";
        return Err(Error::config("data.fold", message));
    }
    if data.valid_ids.is_some() && data.split != DataConfig::default().split {
        let message = "expected no fractions with `data.valid_ids`, which lists the validation trees";
        return Err(Error::config("data.split", message));
    }
    let indices_of =
        |ids: &Path| -> Result<Vec<usize>> { Ok(positions_by_id(all, &read_tree_ids(ids)?, ids)?) };
    let train = indices_of(train_ids)?;
    let test = data.test_ids.as_deref().map(indices_of).transpose()?.unwrap_or_default();
    if let Some(valid) = data.valid_ids.as_deref() {
        return match data.split_by_event {
            true => Err(corpus::nothing_to_split_by_event()),
            false => Ok([train, indices_of(valid)?, test]),
        };
    }
    let [train_ratio, valid_ratio, _] = data.split;
    let ratios = [train_ratio / (train_ratio + valid_ratio), valid_ratio / (train_ratio + valid_ratio), 0.0];
    let (events, labels) = events_and_labels(all, &train, source)?;
    let [rest, valid, _] = corpus::split_by(config, &events, &labels, ratios)?;
    let trees = |part: Vec<usize>| part.into_iter().map(|index| train[index]).collect();
    Ok([trees(rest), trees(valid), test])
}

/// Returns a warning about trees that are in no file of ids, if there are any.
fn unlisted(n_trees: usize, parts: &[Vec<usize>; 3]) -> Option<String> {
    let n = n_trees.saturating_sub(parts.iter().map(Vec::len).sum());
    (n > 0).then(|| format!("left out: {n} of {n_trees} trees are in no file of ids"))
}

/// Returns warnings about trees and labels that do not match.
///
/// # Errors
/// More than half of the trees have no label: the labels are probably those of other trees.
fn left_out(unmatched: &UnmatchedLabels, labels: &Path) -> Result<Vec<String>> {
    let trees = unmatched.describe_trees();
    if let Some(trees) = trees.as_ref().filter(|_| 2 * unmatched.trees.len() > unmatched.n_trees) {
        let message = format!(
            "expected labels of at least half of the trees, but {trees}; to train on the others, list their ids in \
             `data.train_ids`"
        );
        return Err(faknow_data::Error::file(labels, message).into());
    }
    let warnings = [trees.map(|text| format!("left out: {text}")), unmatched.describe_labels()];
    Ok(warnings.into_iter().flatten().map(|text| format!("{text} ({})", labels.display())).collect())
}

/// Returns a warning about trees without an event, if trees are split by event.
pub(super) fn without_event<'a>(
    config: &Config,
    events: impl Iterator<Item = Option<&'a str>>,
) -> Option<String> {
    let has_event: Vec<bool> = events.map(|event| event.is_some()).collect();
    let n = has_event.iter().filter(|has| !**has).count();
    let message =
        || format!("{n} of {} trees have no event; each is split as an event of one tree", has_event.len());
    (config.data.split_by_event && n > 0).then(message)
}

/// Returns the weights of features by the training trees, if they are to be weighted; `counts_words` is whether features are
/// word counts.
pub(super) fn tf_idf<'a>(
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
    data: &DataConfig,
    file: &Path,
    classes: &Classes,
    n_features: Option<usize>,
) -> Result<(Vec<Tree>, UnmatchedLabels)> {
    let trees = read_trees(file, n_features)?;
    match &data.labels {
        Some(path) => {
            let labels = read_tree_labels(path)?;
            let unmatched = UnmatchedLabels::new(&trees, &labels);
            Ok((label_trees(trees, &labels, classes, path)?, unmatched))
        }
        None if file.is_dir() => Ok((trees, UnmatchedLabels::default())),
        None => Err(Error::config("data.labels", "no labels of the trees")),
    }
}

fn events_and_labels<'a>(all: &'a [Tree], part: &[usize], source: &Path) -> Result<EventsAndLabels<'a>> {
    let labels = part.iter().map(|&tree| label_of(&all[tree], source)).collect::<Result<_>>()?;
    Ok((part.iter().map(|&tree| all[tree].event()).collect(), labels))
}

fn label_of(tree: &Tree, source: &Path) -> Result<usize> {
    let message = || format!("tree `{}`: expected a label, got none", tree.id());
    tree.label().ok_or_else(|| faknow_data::Error::file(source, message()).into())
}

/// Checks that no tree is in two parts, given with the key of their ids.
fn check_disjoint(all: &[Tree], parts: [(&Vec<usize>, &'static str); 3]) -> Result<()> {
    const MAX_NAMED: usize = 3;
    let mut seen: HashSet<usize> = HashSet::new();
    for (part, key) in parts {
        let shared: Vec<&str> =
            part.iter().filter(|tree| seen.contains(*tree)).map(|&t| all[t].id()).collect();
        if !shared.is_empty() {
            let named = shared.iter().take(MAX_NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>();
            let more = if shared.len() > MAX_NAMED { ", …" } else { "" };
            let message = format!(
                "expected each tree in one file of ids, got {} of {} ids that are in another one too: {}{more}; remove them \
                 from one of the files, since scores on training trees are too high",
                shared.len(),
                part.len(),
                named.join(", ")
            );
            return Err(Error::config(key, message));
        }
        seen.extend(part);
    }
    Ok(())
}

pub(super) fn no_training_trees(config: &Config) -> Error {
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
    let (valid, test) = (part(&upfd.valid)?, part(&upfd.test)?);
    Ok(Parts { train, valid, test, words: None, tf_idf, warnings: Vec::new() })
}

/// Reads all trees of `data` for a detector with these encoders, with their labels if they have any.
pub(crate) fn read_all(
    data: &DataConfig,
    classes: &Classes,
    n_features: usize,
    words: Option<&WordEncoder>,
) -> Result<Vec<Tree>> {
    match (&data.trees, &data.upfd, &data.train) {
        (Some(file), None, None) => {
            let all = match &data.labels {
                Some(_) => read_labeled(data, file, classes, Some(n_features))?.0,
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
