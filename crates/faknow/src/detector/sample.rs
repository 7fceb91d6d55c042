//! The input of a detector: texts or propagation trees, from files or from memory.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use faknow_data::graph::{RawTree, Tree, TreeJsonReader};
use faknow_data::{FieldDataset, Format, ReadOptions, Record, RecordReader};
use serde_json::{Map, Value};

use crate::config::{Config, DataConfig};
use crate::data::encoders::{FieldEncoders, wrong_input};
use crate::data::files::FileRecords;
use crate::data::source::{self, DataSource};
use crate::data::tree_lines;
use crate::detector::{Detector, articles_only};
use crate::models::Fields;
use crate::{Error, Result};

/// A sample to classify.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A text.
    Text(String),
    /// A text with the image, the domain, the numeric features and the comments of its record.
    Record(Box<Record>),
    /// A record without a text, which has no prediction.
    MissingText,
    /// A propagation tree with texts or features at its nodes.
    Tree(RawTree),
    /// A propagation tree with encoded node features, as in training.
    EncodedTree(Tree),
}

impl Sample {
    /// Returns the text, if the sample is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Record(record) => Some(&record.text),
            Self::MissingText | Self::Tree(_) | Self::EncodedTree(_) => None,
        }
    }
}

/// A sample with the fields of its record.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRecord {
    /// The position of the record in its source, or the line of the tree, from 1; 0 if unknown.
    pub number: usize,
    /// The fields to copy to the output, before the prediction.
    pub fields: Map<String, Value>,
    /// The sample.
    pub sample: Sample,
}

impl From<Record> for InputRecord {
    fn from(mut record: Record) -> Self {
        let (number, fields) = (record.number, std::mem::take(&mut record.fields));
        let is_plain = record.domain.is_none()
            && record.image.is_none()
            && record.features.is_empty()
            && record.comments.is_empty();
        let sample = match record.is_missing && record.image.is_none() {
            true => Sample::MissingText,
            false if is_plain => Sample::Text(record.text),
            false => Sample::Record(Box::new(record)),
        };
        Self { number, fields, sample }
    }
}

impl From<RawTree> for InputRecord {
    fn from(tree: RawTree) -> Self {
        Self { number: tree.line, fields: id_field(&tree.id), sample: Sample::Tree(tree) }
    }
}

impl From<Tree> for InputRecord {
    fn from(tree: Tree) -> Self {
        Self { number: 0, fields: id_field(tree.id()), sample: Sample::EncodedTree(tree) }
    }
}

fn id_field(id: &str) -> Map<String, Value> {
    Map::from_iter([("id".to_owned(), id.into())])
}

/// An iterator of samples to classify, which are read lazily.
pub struct InputRecords<'a> {
    records: Box<dyn Iterator<Item = faknow_data::Result<InputRecord>> + Send + 'a>,
    source: PathBuf,
    columns: Vec<String>,
}

impl<'a> InputRecords<'a> {
    /// Creates an iterator of samples; `source` is their name in errors.
    pub fn new<I, R>(source: impl Into<PathBuf>, records: I) -> Self
    where
        I: IntoIterator<Item = faknow_data::Result<R>>,
        I::IntoIter: Send + 'a,
        R: Into<InputRecord>,
    {
        let records = records.into_iter().map(|record| record.map(Into::into));
        Self { records: Box::new(records), source: source.into(), columns: Vec::new() }
    }

    fn with_columns(self, columns: Vec<String>) -> Self {
        Self { columns, ..self }
    }

    /// Creates an iterator of trees, with their ids as fields.
    fn from_trees<I, T>(source: impl Into<PathBuf>, trees: I) -> Self
    where
        I: IntoIterator<Item = faknow_data::Result<T>>,
        I::IntoIter: Send + 'a,
        T: Into<InputRecord>,
    {
        Self::new(source, trees).with_columns(vec!["id".to_owned()])
    }

    /// Returns the same samples with only these fields of their records.
    #[must_use]
    pub fn with_fields(self, names: &[String]) -> Self {
        let Self { records, source, columns } = self;
        let columns = columns.into_iter().filter(|name| names.contains(name)).collect();
        let names = names.to_vec();
        let records = records.map(move |record| {
            record.map(|mut record| {
                record.fields.retain(|name, _| names.contains(name));
                record
            })
        });
        Self { records: Box::new(records), source, columns }
    }

    /// Returns the names of the fields: the columns of a file of records or the keys of its first JSON object, `id` for trees of
    /// a file; empty for samples from memory.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the source, the name of the samples in errors.
    pub fn source(&self) -> &Path {
        &self.source
    }
}

impl Iterator for InputRecords<'_> {
    type Item = faknow_data::Result<InputRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.records.next()
    }
}

impl std::fmt::Debug for InputRecords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputRecords").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Detector {
    /// Opens the samples of `data` without labels; `train` is a file of records or, for tree detectors, of trees as JSON
    /// lines.
    ///
    /// # Errors
    /// `data` has no source or several sources, or a file is invalid.
    pub fn open(&self, data: &DataConfig) -> Result<InputRecords<'static>> {
        if self.fields().news.is_some() {
            return Err(articles_only());
        }
        let missing = || Error::config("data.train", "expected a file of samples, got none");
        Ok(match (DataSource::from_config(data, self.fields())?, &data.train) {
            (Some(DataSource::Records), Some(files)) => {
                let mut rules = self.layout_rules(data, false);
                rules.options = input_options(rules.options);
                let records = FileRecords::open(files, &rules, None)?;
                let columns = records.columns().to_vec();
                InputRecords::new(files.first(), records).with_columns(columns)
            }
            (Some(DataSource::TreeLines), Some(files)) => {
                let file = files.single("data.train", tree_lines::TREES)?;
                InputRecords::from_trees(file, TreeJsonReader::open(file, None)?)
            }
            (Some(DataSource::TreeFile | DataSource::Upfd), _) => {
                let source = data.trees.clone().or_else(|| data.upfd.clone()).unwrap_or_default();
                InputRecords::from_trees(source, self.read_trees(data)?.into_iter().map(Ok))
            }
            _ => return Err(missing()),
        })
    }

    /// Reads samples from `input`: records with the fields of `data`, JSON lines by default, or trees as JSON lines. `name` is
    /// the name of the input in errors.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn read(
        &self,
        input: Box<dyn BufRead + Send>,
        name: &str,
        data: &DataConfig,
    ) -> Result<InputRecords<'static>> {
        if self.has_tree_input() {
            return Ok(InputRecords::from_trees(name, TreeJsonReader::from_reader(input, name, None)));
        }
        let mut options = input_options(self.read_options(data, false));
        options.format = options.format.or(Some(Format::Jsonl));
        let records = RecordReader::from_reader(input, name, &options, None)?;
        let columns = records.columns().to_vec();
        Ok(InputRecords::new(name, records).with_columns(columns))
    }

    /// Checks that all settings of `data` apply to its source and to this detector.
    ///
    /// # Errors
    /// A setting does not apply; the error has its name and an alternative.
    pub fn check_data(&self, data: &DataConfig) -> Result<()> {
        source::check_options(&Config { data: data.clone(), ..Config::default() }, self.fields())?;
        let (name, trained) = (&self.config().model.name, &self.config().data);
        if let Some(feature) = data.features.0.keys().find(|name| !trained.features.0.contains_key(*name)) {
            let names: Vec<String> = trained.features.0.keys().map(|name| format!("`{name}`")).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let message = format!(
                "expected features that `{name}` was trained on (from columns: {known}), got `{feature}`"
            );
            return Err(Error::config("data.features", message));
        }
        if data.comments.is_some() && trained.comments.is_none() {
            let message = format!("`{name}` was trained without comments");
            return Err(Error::config("data.comments", message));
        }
        Ok(())
    }
}

fn input_options(options: ReadOptions) -> ReadOptions {
    ReadOptions { keep_all: true, accept_missing_texts: true, ..options }
}

/// Encodes samples for a model with these input fields; `source` is their name in errors.
pub(crate) fn encode(
    samples: &[Sample],
    encoders: &FieldEncoders,
    fields: &Fields,
    source: &Path,
) -> Result<FieldDataset> {
    if let Some(field) = &fields.words {
        let texts = samples.iter().map(|sample| match sample {
            // Label and domain are not required.
            Sample::Text(text) => Ok(Record::new(text.as_str())),
            Sample::Record(record) => Ok(Record { label: None, ..(**record).clone() }),
            Sample::MissingText => Ok(Record::default()),
            _ => Err(faknow_data::Error::Dataset(wrong_input("texts", "trees").to_string())),
        });
        return encoders.dataset(texts.collect::<Vec<_>>(), field.extra_padding, source);
    }
    if fields.news.is_some() {
        return Err(articles_only());
    }
    let encoder = encoders.trees.as_ref().ok_or_else(|| wrong_input("texts", "trees"))?;
    let mut encoded = Vec::with_capacity(samples.len());
    for sample in samples {
        match sample {
            Sample::Text(_) | Sample::Record(_) | Sample::MissingText => {
                return Err(wrong_input("trees", "texts"));
            }
            Sample::Tree(raw) => {
                let words = encoders.words.as_ref();
                encoded.extend(tree_lines::to_trees(
                    vec![raw.clone()],
                    words,
                    Some(encoder.n_features),
                    source,
                )?);
            }
            Sample::EncodedTree(tree) => encoded.push(tree.clone()),
        }
    }
    encoder.dataset(encoded)
}
