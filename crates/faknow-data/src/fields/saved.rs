//! Saving and loading of tokenized datasets.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dataset::{Columns, FieldDataset};
use super::domains::DomainColumn;
use crate::column::Column;
use crate::common::write_atomically;
use crate::text::{SubwordColumn, SubwordIds, TokenColumn, TokenStorage, Tokens, WordColumn};
use crate::{Dataset, Error, Result};

/// The contents of a saved dataset besides its tokens.
#[derive(Serialize, Deserialize)]
struct Index {
    /// Number of tokens of each text.
    lengths: Vec<u32>,
    labels: Vec<u32>,
    domains: Option<DomainColumn>,
    /// What the tokens mean, if they are subwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subwords: Option<SubwordIds>,
    /// Fingerprint of the dataset, tokens included.
    content: Option<u64>,
}

impl FieldDataset {
    /// Writes the tokens to `PATH.tokens`, and labels and domains to `PATH.json`. For a [`subset`](Self::subset), the complete
    /// dataset is written. Padding settings are not saved.
    ///
    /// # Errors
    /// A file cannot be written; the dataset has no texts, or has trees, n-grams, images, features or further texts, which cannot be saved.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let words = self.columns.words.as_ref().map(|words| words.tokens());
        let subwords = self.columns.subwords.as_ref();
        let tokens = words.or_else(|| subwords.map(|subwords| subwords.tokens()));
        let Some(column) = tokens.filter(|_| self.columns.trees.is_none()) else {
            return Err(Error::Dataset(
                "expected a dataset of texts without trees: others cannot be saved".to_owned(),
            ));
        };
        if self.columns.ngrams.is_some() {
            return Err(Error::Dataset("datasets with n-grams cannot be saved".to_owned()));
        }
        if self.columns.images.is_some() || self.columns.image_sources.is_some() {
            return Err(Error::Dataset("datasets with images cannot be saved".to_owned()));
        }
        if !self.columns.features.is_empty() || !self.columns.texts.is_empty() {
            return Err(Error::Dataset("datasets with features or further texts cannot be saved".to_owned()));
        }
        let [tokens, index] = files(path.as_ref());
        column.tokens().save(&tokens)?;
        let complete = Self::new(self.columns.clone());
        let content = Index {
            lengths: (0..column.n_rows()).map(|row| column.size(row) as u32).collect(),
            labels: self.columns.labels.to_vec(),
            domains: self.columns.domains.as_deref().cloned(),
            subwords: subwords.map(|subwords| subwords.ids()),
            content: complete.fingerprint(),
        };
        write_atomically(&index, |file| Ok(serde_json::to_writer(file, &content)?))
            .map_err(|source| Error::io(&index, source))
    }

    /// Loads a dataset written by [`save`](Self::save).
    ///
    /// # Errors
    /// A file cannot be read, or is corrupted.
    pub fn load(path: impl AsRef<Path>, storage: &TokenStorage) -> Result<Self> {
        let [tokens_file, index_file] = files(path.as_ref());
        let file = File::open(&index_file).map_err(|source| Error::io(&index_file, source))?;
        let index: Index = serde_json::from_reader(BufReader::new(file)).map_err(|error| {
            Error::file(&index_file, format!("expected the index of a tokenized dataset: {error}"))
        })?;
        let corrupted = |file: &Path| Error::file(file, "corrupted: the contents differ from what was saved");
        if !index.is_consistent() {
            return Err(corrupted(&index_file));
        }
        let Index { lengths, labels, domains, subwords, content } = index;
        let mut end = 0;
        let ends: Vec<usize> = lengths
            .iter()
            .map(|&length| {
                end += length as usize;
                end
            })
            .collect();
        let tokens = TokenColumn::new(Tokens::open(&tokens_file, end, storage)?, ends)?;
        let n_rows = tokens.n_rows();
        let (words, subwords) = match subwords {
            None => (Some(Arc::new(WordColumn::new(tokens))), None),
            Some(ids) => (None, Some(Arc::new(SubwordColumn::new(tokens, ids)))),
        };
        let data = Self::new(Columns {
            n_rows,
            labels: Arc::new(labels),
            words,
            subwords,
            domains: domains.map(Arc::new),
            ..Columns::default()
        });
        match data.fingerprint() == content {
            true => Ok(data),
            false => Err(corrupted(&tokens_file)),
        }
    }
}

impl Index {
    /// Returns whether all texts or none have a class, and all domain indices are in range.
    fn is_consistent(&self) -> bool {
        let n = self.lengths.len();
        let has_rows = |domains: &DomainColumn| {
            let n_names = domains.names.len();
            domains.n_rows() == n
                && domains.numbers.iter().flatten().all(|&domain| (domain as usize) < n_names)
        };
        (self.labels.is_empty() || self.labels.len() == n) && self.domains.as_ref().is_none_or(has_rows)
    }
}

fn files(path: &Path) -> [PathBuf; 2] {
    ["tokens", "json"].map(|extension| path.with_extension(extension))
}
