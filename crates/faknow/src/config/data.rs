//! The table `[data]` of a config: data files and the meaning of their fields.

use std::collections::BTreeMap;
use std::path::PathBuf;

use faknow_data::{Classes, ColumnMap, Delimiter, Encoding, Format, ReadOptions, SkipBroken, TextColumns};
use serde::{Deserialize, Serialize};

use crate::config::{DataFiles, FeatureColumns, Fold};
use crate::{Error, Result};

/// Data files and the meaning of their fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Files of training records: .json, .jsonl, .csv or .tsv; for tree models one .jsonl with one tree per line. Required;
    /// for tree models only without `trees` and `upfd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<DataFiles>,
    /// Files of validation records. Default: a fraction of `train`, by `split`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<DataFiles>,
    /// Files of test records. Default: a fraction of `train`, by `split`; none with `valid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<DataFiles>,
    /// Propagation trees: a file in the TD_RvNN format, or a directory of FaKnow's `<id>.npz` files. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trees: Option<PathBuf>,
    /// File of the labels of `trees`, with label, event and root id per line, separated by tabs. Required if `trees` is a
    /// file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// File of the ids of the training trees, one per line. Default: a fraction of `trees`, by `split` or `fold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_ids: Option<PathBuf>,
    /// File of the ids of the validation trees. Default: a fraction of the training trees, by `split`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_ids: Option<PathBuf>,
    /// File of the ids of the test trees. Default: none with `train_ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_ids: Option<PathBuf>,
    /// Directory of a raw UPFD dataset, which has its own split. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upfd: Option<PathBuf>,
    /// Directory of a graph of articles, sources and users in the format of FANG
    /// ([`NewsGraph::read`](faknow_data::graph::NewsGraph::read) lists its files). Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fang: Option<PathBuf>,
    /// Features of a UPFD dataset: `profile`, `spacy`, `bert`, `content`. Default `profile`.
    pub feature: String,
    /// Weighting of node features: `tf-idf` or `none`. Default: `tf-idf` for word counts (the TD_RvNN format, and texts),
    /// else `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighting: Option<Weighting>,
    /// Whether samples are split by event, so that all of an event are in the same part: that of a tree (`trees`, or JSON lines), or
    /// the `domain` of a record. Default false.
    pub split_by_event: bool,
    /// Field of the text, or several, as a list or separated by commas; a column number from 1 in files without a header. Fields
    /// of nested JSON are paths, as in `content.text`. Default: recognized from the training file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextColumns>,
    /// Field of the label. Default: recognized from the training file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Field of the domain (topic, event), for models that use domains. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Field of the image of a post, for models that read images: the path of a file, relative to `image_dir`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Directory of the images. Default: that of the file of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_dir: Option<PathBuf>,
    /// Field of the entities of the text, as a text or a list of names, for models that read them. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities: Option<String>,
    /// Field of the headline, for models that read it separately from the text. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Fields of numeric features, by the name of the feature: arrays of numbers, of the same length in all records. Default: none.
    #[serde(skip_serializing_if = "FeatureColumns::is_empty")]
    pub features: FeatureColumns,
    /// Field of the comments on a post, an array of texts, for models with emotion features. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<String>,
    /// The classes in order; of two classes, the second is the positive one. Default, an empty list: recognized from the
    /// labels of the training data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Further values of the label field for each class, besides its name. Default: none; integers from 0 are class
    /// indices.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<String>>,
    /// File format: `json`, `jsonl`, `csv`, `tsv`, `excel`, `parquet`. Default: by the file extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Character encoding of record files, such as `windows-1252` or `gbk`. Default: UTF-8, or by the byte order mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Separator of CSV and TSV files: a character, `tab`, `semicolon` or `pipe`. Default: recognized per file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// Label values whose records are left out, ignoring case. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop_classes: Vec<String>,
    /// Maximum number (20) or percentage (1%) of the records of a file that are skipped because they cannot be parsed or lack a text
    /// or label. Default 0, such a record is an error.
    pub skip_broken: SkipBroken,
    /// Whether the first record of a CSV or TSV file names the columns. Default: recognized per file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Whether fields of CSV and TSV files can be quoted; if false, quotes are ordinary characters. Default: recognized per
    /// file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quotes: Option<bool>,
    /// Fractions of `train` for training, validation and test, stratified by class; 0 for an empty part. Default 0.7, 0.1,
    /// 0.2, as in FaKnow.
    pub split: [f64; 3],
    /// The fold of `train` to test on, as in `2 of 5`, stratified by class. Validation is taken from the other folds, in the
    /// ratio of the fractions for validation and training in `split`. Excludes `test`. Default: none, `split` applies.
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
            fang: None,
            feature: "profile".into(),
            weighting: None,
            split_by_event: false,
            text: None,
            label: None,
            domain: None,
            image: None,
            image_dir: None,
            entities: None,
            title: None,
            features: FeatureColumns::default(),
            comments: None,
            classes: Vec::new(),
            values: BTreeMap::new(),
            format: None,
            encoding: None,
            delimiter: None,
            drop_classes: Vec::new(),
            skip_broken: SkipBroken::default(),
            header: None,
            quotes: None,
            split: [0.7, 0.1, 0.2],
            fold: None,
        }
    }
}

impl DataConfig {
    /// Returns whether the classes are given, by `classes` or by `values` of the classes `real` and `fake`.
    pub(crate) fn has_classes(&self) -> bool {
        !self.classes.is_empty() || !self.values.is_empty()
    }

    /// Returns the classes with their label values. Without `classes`, `values` are those of `real` and `fake`.
    ///
    /// # Errors
    /// There are fewer than two classes, or none is given and [`Config::recognize`](crate::Config::recognize) has not set them, a class or value occurs twice, or `values` has an unknown class.
    pub fn to_classes(&self) -> Result<Classes> {
        let names = match self.classes.is_empty() && !self.values.is_empty() {
            true => vec!["real".to_owned(), "fake".to_owned()],
            false => self.classes.clone(),
        };
        let mut classes = Classes::new(names).map_err(|e| Error::from_data("data.classes", e))?;
        for (class, values) in &self.values {
            classes =
                classes.with_values(class, values.clone()).map_err(|e| Error::from_data("data.values", e))?;
        }
        Ok(classes)
    }

    /// Returns the names of further texts with their columns.
    fn further_texts(&self) -> impl Iterator<Item = (String, String)> {
        let texts = [("entities", &self.entities), ("title", &self.title)];
        texts.into_iter().filter_map(|(name, column)| Some((name.to_owned(), column.clone()?)))
    }

    /// Returns the options for reading records, with the defaults `text`, `label`, header and quotes for what is not given; `labeled`
    /// is whether the label field is required.
    pub fn read_options(&self, labeled: bool) -> ReadOptions {
        ReadOptions {
            format: self.format,
            encoding: self.encoding,
            delimiter: self.delimiter,
            header: self.header.unwrap_or(true),
            quotes: self.quotes.unwrap_or(true),
            columns: ColumnMap {
                text: Some(self.text.clone().unwrap_or_else(|| "text".into())),
                label: labeled.then(|| self.label.clone().unwrap_or_else(|| "label".to_owned())),
                domain: self.domain.clone(),
                image: self.image.clone(),
                texts: self.further_texts().collect(),
                features: self.features.0.clone(),
                comments: self.comments.clone(),
                ..ColumnMap::default()
            },
            drop_labels: if labeled { self.drop_classes.clone() } else { Vec::new() },
            image_dir: self.image_dir.clone(),
            skip_broken: if labeled { self.skip_broken } else { SkipBroken::default() },
            ..ReadOptions::default()
        }
    }
}

/// The weighting of node features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Unweighted features.
    None,
    /// tf-idf by the training trees, with normalized nodes: see [`TfIdf`](faknow_data::graph::TfIdf).
    TfIdf,
}
