//! What a detector classifies: texts or propagation trees, from files or from a program.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use faknow_data::graph::{RawTree, Tree, TreeJsonReader};
use faknow_data::{FieldDataset, Format, ReadOptions, Record, RecordReader};
use serde_json::{Map, Value};

use crate::config::{Config, DataConfig};
use crate::data::encoders::FieldEncoders;
use crate::data::source::{self, DataSource};
use crate::data::trees;
use crate::detector::{Detector, wrong_input};
use crate::models::Fields;
use crate::{Error, Result};

/// A sample that a detector is to classify.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A text.
    Text(String),
    /// A propagation tree, whose nodes have texts or features.
    Tree(RawTree),
    /// A propagation tree whose nodes have the features of the training.
    EncodedTree(Tree),
}

/// A sample with the other fields of its record.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRecord {
    /// The fields that stand before the prediction in the output.
    pub fields: Map<String, Value>,
    /// The sample.
    pub sample: Sample,
}

impl From<Record> for InputRecord {
    fn from(record: Record) -> Self {
        Self { fields: record.fields, sample: Sample::Text(record.text) }
    }
}

impl From<RawTree> for InputRecord {
    fn from(tree: RawTree) -> Self {
        Self { fields: id_field(&tree.id), sample: Sample::Tree(tree) }
    }
}

impl From<Tree> for InputRecord {
    fn from(tree: Tree) -> Self {
        Self { fields: id_field(tree.id()), sample: Sample::EncodedTree(tree) }
    }
}

fn id_field(id: &str) -> Map<String, Value> {
    Map::from_iter([("id".to_owned(), id.into())])
}

/// Samples to classify, read as they are needed.
pub struct InputRecords<'a> {
    records: Box<dyn Iterator<Item = faknow_data::Result<InputRecord>> + Send + 'a>,
    source: PathBuf,
}

impl<'a> InputRecords<'a> {
    /// Creates a stream of samples; `source` is named in errors.
    pub fn new<I, R>(source: impl Into<PathBuf>, records: I) -> Self
    where
        I: IntoIterator<Item = faknow_data::Result<R>>,
        I::IntoIter: Send + 'a,
        R: Into<InputRecord>,
    {
        let records = records.into_iter().map(|record| record.map(Into::into));
        Self { records: Box::new(records), source: source.into() }
    }

    /// Returns the source, as errors name it.
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
    /// Opens the samples that `data` names, without labels: `train` is a file of records or, for a detector of trees, of JSON
    /// lines.
    ///
    /// # Errors
    /// `data` names no samples or several sources, or a file is wrong.
    pub fn open(&self, data: &DataConfig) -> Result<InputRecords<'static>> {
        let missing = || Error::config("data.train", "no samples: name a file");
        Ok(match (DataSource::of(data, self.fields())?, &data.train) {
            (Some(DataSource::Records), Some(file)) => {
                InputRecords::new(file, RecordReader::open(file, &self.input_options(data), None)?)
            }
            (Some(DataSource::TreeLines), Some(file)) => {
                InputRecords::new(file, TreeJsonReader::open(file, None)?)
            }
            (Some(DataSource::TreeFile | DataSource::Upfd), _) => {
                let source = data.trees.clone().or_else(|| data.upfd.clone()).unwrap_or_default();
                InputRecords::new(source, self.read_trees(data)?.into_iter().map(Ok))
            }
            _ => return Err(missing()),
        })
    }

    /// Reads samples from `input`, which errors call `name`: records as `data` describes them, JSON lines by default, or trees as
    /// JSON lines.
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
            return Ok(InputRecords::new(name, TreeJsonReader::from_reader(input, name, None)));
        }
        let mut options = self.input_options(data);
        options.format = options.format.or(Some(Format::Jsonl));
        Ok(InputRecords::new(name, RecordReader::from_reader(input, name, &options, None)?))
    }

    /// Refuses settings of `data` that do not apply to the samples that it names for this detector.
    ///
    /// # Errors
    /// Names the setting, and what to use instead.
    pub fn check_data(&self, data: &DataConfig) -> Result<()> {
        source::check_options(&Config { data: data.clone(), ..Config::default() }, self.fields())
    }

    fn input_options(&self, data: &DataConfig) -> ReadOptions {
        ReadOptions { keep_all: true, ..self.read_options(data, false) }
    }
}

/// Returns the samples as a model sees them that reads these fields; `source` is named in errors.
pub(crate) fn encode(
    samples: &[Sample],
    encoders: &FieldEncoders,
    fields: &Fields,
    source: &Path,
) -> Result<FieldDataset> {
    if let Some(field) = &fields.words {
        let words = encoders.words.as_ref().ok_or_else(|| wrong_input("trees", "texts"))?;
        let texts = samples.iter().map(|sample| match sample {
            // A label and a domain are not needed.
            Sample::Text(text) => Ok(Record::new(text.as_str())),
            _ => Err(faknow_data::Error::Dataset(wrong_input("texts", "trees").to_string())),
        });
        return words.dataset(texts.collect::<Vec<_>>(), field.extra_padding);
    }
    let encoder = encoders.trees.as_ref().ok_or_else(|| wrong_input("texts", "trees"))?;
    let mut encoded = Vec::with_capacity(samples.len());
    for sample in samples {
        match sample {
            Sample::Text(_) => return Err(wrong_input("trees", "texts")),
            Sample::Tree(raw) => {
                let words = encoders.words.as_ref();
                encoded.extend(trees::to_trees(vec![raw.clone()], words, Some(encoder.n_features), source)?);
            }
            Sample::EncodedTree(tree) => encoded.push(tree.clone()),
        }
    }
    encoder.dataset(encoded)
}
