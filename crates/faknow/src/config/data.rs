//! The table `[data]` of a config: which records, and what their fields mean.

use std::collections::BTreeMap;
use std::path::PathBuf;

use faknow_data::{Classes, ColumnMap, Format, ReadOptions};
use serde::{Deserialize, Serialize};

use crate::config::Fold;
use crate::{Error, Result};

/// Which records, and what their fields mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// File of training records: .json, .jsonl, .csv or .tsv; for models of trees .jsonl, a tree a line. Required, for
    /// models of trees if there are neither `trees` nor `upfd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<PathBuf>,
    /// File of validation records. Without it, its share of `split` is taken from `train`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<PathBuf>,
    /// File of test records. Without it and without `valid`, its share of `split` is taken from `train`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Propagation trees in one file of the TD_RvNN format, or a directory of FaKnow's `<id>.npz`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trees: Option<PathBuf>,
    /// File of the labels of `trees`, a line each: label, event and id of the root, by tabs. Required with a file of
    /// `trees`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// File of the ids of the training trees, one a line. Default: those that `split` or `fold` cut from `trees`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_ids: Option<PathBuf>,
    /// File of the ids of the validation trees. Default: a share of the training trees, by `split`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_ids: Option<PathBuf>,
    /// File of the ids of the test trees. Default: none with `train_ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_ids: Option<PathBuf>,
    /// Raw directory of a UPFD data set, with its own split. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upfd: Option<PathBuf>,
    /// Features of a UPFD data set: `profile`, `spacy`, `bert`, `content`. Default `profile`.
    pub feature: String,
    /// How the features of the nodes of trees are weighed: `tf-idf` or `none`. Default: `tf-idf` where they are counts of words
    /// (the TD_RvNN format, and texts), else `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighting: Option<Weighting>,
    /// Whether what is cut from `trees` is cut by whole events, so that no event is in two parts. Default false.
    pub split_by_event: bool,
    /// Field of the text; a column number from 1 in files without header. Default `text`.
    pub text: String,
    /// Field of the label. Default `label`.
    pub label: String,
    /// Field of the domain (topic, event), for models that use it. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The classes in order; with two, the second is the positive one. Default `real`, `fake`.
    pub classes: Vec<String>,
    /// For each class, the values in the label field that mean it, besides its name. Default: none; label values
    /// that are numbers from 0 are class numbers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<String>>,
    /// Format, if the file's ending does not say it: `json`, `jsonl`, `csv`, `tsv`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Whether the first record of a CSV or TSV file names the columns. Default true.
    pub header: bool,
    /// Whether quotes group fields in CSV and TSV files; false where a quote is a plain character. Default true.
    pub quotes: bool,
    /// Shares of training, validation and test for what is taken from `train`, stratified by class; a share of 0
    /// takes nothing. Default 0.7, 0.1, 0.2, FaKnow's.
    pub split: [f64; 3],
    /// The fold of `train` that is the test, as in `2 of 5`, stratified by class; validation is taken from the rest, in
    /// the ratio of its share of `split` to that of training. Excludes `test`. Default: none, `split` cuts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            train: None,
            valid: None,
            test: None,
            trees: None,
            labels: None,
            train_ids: None,
            valid_ids: None,
            test_ids: None,
            upfd: None,
            feature: "profile".into(),
            weighting: None,
            split_by_event: false,
            text: "text".into(),
            label: "label".into(),
            domain: None,
            classes: vec!["real".into(), "fake".into()],
            values: BTreeMap::new(),
            format: None,
            header: true,
            quotes: true,
            split: [0.7, 0.1, 0.2],
            fold: None,
        }
    }
}

impl DataConfig {
    /// The classes with the label values that mean them.
    ///
    /// # Errors
    /// There are fewer than two, or one is named twice; `values` names no class.
    pub fn to_classes(&self) -> Result<Classes> {
        let mut classes =
            Classes::new(self.classes.clone()).map_err(|e| Error::setting("data.classes", e))?;
        for (class, values) in &self.values {
            classes =
                classes.with_values(class, values.clone()).map_err(|e| Error::setting("data.values", e))?;
        }
        Ok(classes)
    }

    /// How records are read; `labeled` says whether the label field is needed.
    pub fn read_options(&self, labeled: bool) -> ReadOptions {
        ReadOptions {
            format: self.format,
            header: self.header,
            quotes: self.quotes,
            columns: ColumnMap {
                text: Some(self.text.clone()),
                label: labeled.then(|| self.label.clone()),
                domain: self.domain.clone(),
                ..ColumnMap::default()
            },
            ..ReadOptions::default()
        }
    }
}

/// How the features of the nodes of trees are weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// As they stand.
    None,
    /// By how rare a word is among the training trees, each node normalized: see [`TfIdf`](faknow_data::graph::TfIdf).
    TfIdf,
}
