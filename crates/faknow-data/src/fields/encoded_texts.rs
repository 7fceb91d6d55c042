//! The output of an encoder as a field of a dataset.

use std::collections::HashSet;
use std::sync::Arc;

use super::dataset::FieldDataset;
use crate::text::{EncodedStore, TextKey};
use crate::{Error, Result};

impl FieldDataset {
    /// Adds the output of an encoder for the subwords, which batches then have instead of them. The content of the dataset and its
    /// [`fingerprint`](crate::Dataset::fingerprint) remain the same.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the dataset has no subwords, or the store lacks a text; [`Error::Io`]: tokens cannot be read.
    pub fn with_encoded(mut self, store: &EncodedStore) -> Result<Self> {
        let Some(subwords) = &self.columns.subwords else {
            return Err(Error::Dataset("encoded texts: expected a dataset of subwords".to_owned()));
        };
        let keys = (0..self.columns.n_rows).map(|row| Ok(TextKey::new(&subwords.row(row)?)));
        let Some(column) = store.column(keys)? else {
            return Err(Error::Dataset("encoded texts: expected all texts, some are missing".to_owned()));
        };
        self.columns.encoded = Some(Arc::new(column));
        Ok(self)
    }

    /// Returns the samples whose subwords a store lacks, one per text; of a subset, those of the complete dataset.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the dataset has no subwords; [`Error::Io`]: tokens cannot be read.
    pub fn not_encoded(&self, store: &EncodedStore) -> Result<Self> {
        let Some(subwords) = &self.columns.subwords else {
            return Err(Error::Dataset("encoded texts: expected a dataset of subwords".to_owned()));
        };
        let (mut rows, mut seen) = (Vec::new(), HashSet::new());
        for row in 0..self.columns.n_rows {
            let key = TextKey::new(&subwords.row(row)?);
            if !store.contains(&key) && seen.insert(key) {
                rows.push(row as u32);
            }
        }
        Ok(Self { rows: Some(rows.into()), ..self.clone() })
    }
}
