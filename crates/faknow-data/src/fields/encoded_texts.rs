//! The output of an encoder as a field of a dataset.

use std::collections::HashSet;
use std::sync::Arc;

use super::dataset::{Columns, FieldDataset};
use super::further_texts::FurtherText;
use crate::column::Column as _;
use crate::text::{EncodedColumn, EncodedStore, SubwordColumn, TextKey};
use crate::{Error, Result};

impl FieldDataset {
    /// Adds the output of an encoder for the subwords, also of further texts, which batches then have instead of them. The content of the dataset and its
    /// [`fingerprint`](crate::Dataset::fingerprint) remain the same.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the dataset has no subwords, or the store lacks a text; [`Error::Io`]: tokens cannot be read.
    pub fn with_encoded(mut self, store: &EncodedStore) -> Result<Self> {
        let Some(subwords) = &self.columns.subwords else {
            return Err(Error::Dataset("encoded texts: expected a dataset of subwords".to_owned()));
        };
        self.columns.encoded = Some(encoded(subwords, store)?);
        for text in self.columns.texts.values_mut() {
            if let FurtherText::Subwords(subwords, column) = text {
                *column = Some(encoded(subwords, store)?);
            }
        }
        Ok(self)
    }

    /// Returns the further texts as subwords, each as the text of a dataset without other fields.
    pub fn further_subwords(&self) -> impl Iterator<Item = Self> {
        self.columns.texts.values().filter_map(|text| {
            let FurtherText::Subwords(subwords, _) = text else { return None };
            let n_rows = self.columns.n_rows;
            let columns = Columns { n_rows, subwords: Some(subwords.clone()), ..Columns::default() };
            Some(Self { columns, rows: self.rows.clone(), padding: self.padding })
        })
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

/// Returns the output of an encoder for texts.
fn encoded(subwords: &SubwordColumn, store: &EncodedStore) -> Result<Arc<EncodedColumn>> {
    let keys = (0..subwords.n_rows()).map(|row| Ok(TextKey::new(&subwords.row(row)?)));
    let column = store.column(keys)?;
    let missing = || Error::Dataset("encoded texts: expected all texts, some are missing".to_owned());
    column.map(Arc::new).ok_or_else(missing)
}
