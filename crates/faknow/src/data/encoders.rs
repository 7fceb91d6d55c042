//! The encoders of records and trees into input fields; saved in a run directory for prediction.

use std::path::Path;

use faknow_data::graph::{TfIdf, Tree};
use faknow_data::text::{Tokenizer, TokenizerConfig, Vocab};
use faknow_data::{FieldDataset, NodeFeatureKind, Record};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::data::features::{EmotionSource, FeatureEncoder};
use crate::data::trees::apply_weights;
use crate::detector::wrong_input;
use crate::files::{read_json, verify_files, write_json};
use crate::models::{Fields, Shape};
use crate::{Error, Result};

pub(crate) const VOCAB: &str = "vocab.txt";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const FEATURES: &str = "features.json";
pub(crate) const DOMAINS: &str = "domains.json";
pub(crate) const RECORD_FEATURES: &str = "record_features.json";

/// Reads a JSON file that a run must have.
fn require_json<T: DeserializeOwned>(run: &Path, name: &str) -> Result<T> {
    let message = || format!("missing `{name}`; copy the run directory again");
    read_json(run, name)?.ok_or_else(|| Error::NotARun { path: run.to_path_buf(), message: message() })
}

/// The encoders of the input fields of a model.
#[derive(Debug, Default)]
pub(crate) struct FieldEncoders {
    /// Encoder of texts, or of the texts of nodes.
    pub(crate) words: Option<WordEncoder>,
    /// Encoder of propagation trees.
    pub(crate) trees: Option<TreeEncoder>,
    /// Names of the domains of the training data in the order of their indices, if the model uses domains.
    pub(crate) domains: Vec<String>,
    /// Encoder of numeric features, if the model reads any.
    pub(crate) features: Option<FeatureEncoder>,
    /// Names of the numeric features of records, with their numbers of values.
    pub(crate) feature_sizes: Vec<(String, usize)>,
}

/// An encoder of texts as token ids.
#[derive(Debug)]
pub(crate) struct WordEncoder {
    pub(crate) vocab: Vocab,
    pub(crate) tokenizer: Tokenizer,
}

/// An encoder of trees as node features.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TreeEncoder {
    /// Number of features per node.
    pub(crate) n_features: usize,
    /// Weighting of the features, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tf_idf: Option<TfIdf>,
}

impl WordEncoder {
    /// Encodes records with this number of padding columns, without features; `domains` are those of the training data.
    pub(crate) fn dataset<I>(
        &self,
        records: I,
        domains: &[String],
        extra_padding: usize,
    ) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        let data = FieldDataset::from_records(records, &self.tokenizer, &self.vocab, domains)?;
        Ok(data.with_extra_padding(extra_padding))
    }
}

impl TreeEncoder {
    /// Encodes trees.
    ///
    /// # Errors
    /// A tree does not have the number of features of the training data.
    pub(crate) fn dataset(&self, mut trees: Vec<Tree>) -> Result<FieldDataset> {
        let n_features = self.n_features;
        if let Some(tree) = trees.iter().find(|tree| tree.features().n_features() != n_features) {
            let (id, got) = (tree.id(), tree.features().n_features());
            let message =
                format!("tree `{id}`: expected {n_features} features per node, as in training, got {got}");
            return Err(faknow_data::Error::Dataset(message).into());
        }
        apply_weights(&mut trees, self.tf_idf.as_ref())?;
        Ok(FieldDataset::from_trees(trees)?)
    }
}

impl FieldEncoders {
    /// Encodes records, with features if the model reads any; `source` is their name in errors.
    ///
    /// # Errors
    /// A record is invalid, has a feature with another number of values than in training, or the encoder takes no texts.
    pub(crate) fn dataset<I>(&self, records: I, extra_padding: usize, source: &Path) -> Result<FieldDataset>
    where
        I: IntoIterator<Item = faknow_data::Result<Record>>,
        I::IntoIter: Send,
    {
        let words = self.words.as_ref().ok_or_else(|| wrong_input("trees", "texts"))?;
        let Some(features) = &self.features else {
            return words.dataset(records, &self.domains, extra_padding);
        };
        let emotions = features.emotions.as_ref().map(EmotionSource::reader).transpose()?;
        let records = records.into_iter().map(|record| {
            record.map(|mut record| {
                features.complete(&mut record, emotions.as_ref());
                record
            })
        });
        features.encode(words.dataset(records, &self.domains, extra_padding)?, source)
    }

    /// Returns whether a record lacks a feature that the model reads.
    pub(crate) fn lacks_features(&self, record: &Record) -> bool {
        self.features.as_ref().is_some_and(|features| features.is_missing_in(record))
    }

    /// Returns what the features of the nodes of trees mean.
    pub(crate) fn node_features(&self) -> NodeFeatureKind {
        let is_weighted = self.trees.as_ref().is_some_and(|trees| trees.tf_idf.is_some());
        match (&self.words, is_weighted) {
            (Some(_), _) => NodeFeatureKind::TokenIds,
            (None, true) => NodeFeatureKind::Words,
            (None, false) => NodeFeatureKind::Numbers,
        }
    }

    /// Returns the name of an encoder file that is missing in a run directory, if any.
    pub(crate) fn missing(run: &Path, fields: &Fields) -> Option<&'static str> {
        let words: &[&str] = if fields.words.is_some() { &[VOCAB, TOKENIZER] } else { &[] };
        let trees: &[&str] = if fields.trees.is_some() { &[FEATURES] } else { &[] };
        let is_required = fields.domains.as_ref().is_some_and(|domains| domains.is_required);
        let domains: &[&str] = if is_required { &[DOMAINS] } else { &[] };
        let is_required = fields.features.iter().any(|feature| feature.is_required);
        let features: &[&str] = if is_required { &[RECORD_FEATURES] } else { &[] };
        let names = words.iter().chain(trees).chain(domains).chain(features);
        names.copied().find(|name| !run.join(name).exists())
    }

    /// Loads the encoders for a model with these input fields from a run directory, and compares them with their checksums.
    pub(crate) fn load(run: &Path, fields: &Fields) -> Result<Self> {
        verify_files(run, &[VOCAB, TOKENIZER, FEATURES, DOMAINS, RECORD_FEATURES])?;
        let words = || -> Result<WordEncoder> {
            let tokenizer: TokenizerConfig = require_json(run, TOKENIZER)?;
            Ok(WordEncoder { vocab: Vocab::load(run.join(VOCAB))?, tokenizer: Tokenizer::new(tokenizer)? })
        };
        // Nodes of trees have texts or features.
        let has_words = fields.words.is_some() || run.join(VOCAB).exists();
        let trees = fields.trees.is_some().then(|| require_json(run, FEATURES));
        let features: Option<FeatureEncoder> = read_json(run, RECORD_FEATURES)?;
        Ok(Self {
            words: has_words.then(words).transpose()?,
            trees: trees.transpose()?,
            domains: read_json(run, DOMAINS)?.unwrap_or_default(),
            feature_sizes: features.as_ref().map(FeatureEncoder::sizes).unwrap_or_default(),
            features,
        })
    }

    /// Writes the encoders into a run directory.
    pub(crate) fn save(&self, run: &Path) -> Result<()> {
        if let Some(trees) = &self.trees {
            write_json(&run.join(FEATURES), trees)?;
        }
        if !self.domains.is_empty() {
            write_json(&run.join(DOMAINS), &self.domains)?;
        }
        if let Some(features) = &self.features {
            write_json(&run.join(RECORD_FEATURES), features)?;
        }
        if let Some(words) = &self.words {
            words.vocab.save(run.join(VOCAB))?;
            write_json(&run.join(TOKENIZER), words.tokenizer.config())?;
        }
        Ok(())
    }

    /// Returns the properties that determine the size of a model.
    pub(crate) fn shape<'a>(&'a self, n_classes: usize, word_vectors: Option<&'a Tensor>) -> Shape<'a> {
        Shape {
            vocab_size: self.words.as_ref().map_or(0, |words| words.vocab.len()),
            n_node_features: self.trees.as_ref().map_or(0, |trees| trees.n_features),
            n_classes,
            word_vectors,
            encoder: None,
            n_domains: self.domains.len(),
            feature_sizes: &self.feature_sizes,
        }
    }
}
