//! Further texts of the samples, such as the entities that a post mentions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::column::Column;
use crate::text::{EncodedColumn, Padding, SubwordColumn, TextFields, WordColumn};
use crate::{Record, Result};

/// One further text of all samples, as words or as subwords.
#[derive(Clone, Debug)]
pub(super) enum FurtherText {
    Words(Arc<WordColumn>),
    /// With the output of an encoder for the subwords, which batches have instead of them.
    Subwords(Arc<SubwordColumn>, Option<Arc<EncodedColumn>>),
}

impl FurtherText {
    pub(super) fn column(&self) -> &dyn Column {
        match self {
            Self::Words(words) => &**words,
            Self::Subwords(subwords, _) => &**subwords,
        }
    }

    /// Returns the texts at `rows` as a padded batch.
    pub(super) fn collate(&self, rows: &[usize], padding: Padding) -> Result<TextFields> {
        Ok(match self {
            Self::Words(words) => {
                TextFields { words: Some(words.collate(rows, padding)?), ..TextFields::default() }
            }
            Self::Subwords(_, Some(encoded)) => {
                TextFields { encoded: Some(encoded.collate(rows)?), ..TextFields::default() }
            }
            Self::Subwords(subwords, None) => {
                TextFields { subwords: Some(subwords.collate(rows)?), ..TextFields::default() }
            }
        })
    }
}

/// Collects the further texts of records in order.
#[derive(Default)]
pub(super) struct FurtherTextBuilder {
    n_records: usize,
    texts: BTreeMap<String, Vec<String>>,
}

impl FurtherTextBuilder {
    pub(super) fn push(&mut self, texts: BTreeMap<String, String>) {
        for (name, text) in texts {
            let column = self.texts.entry(name).or_default();
            // Records before the first one with this text have an empty one.
            column.resize(self.n_records, String::new());
            column.push(text);
        }
        self.n_records += 1;
    }

    /// Returns the columns by name, each encoded by `encode`.
    pub(super) fn finish(
        self,
        encode: impl Fn(&mut (dyn Iterator<Item = Result<Record>> + Send)) -> Result<FurtherText>,
    ) -> Result<BTreeMap<String, FurtherText>> {
        let n_records = self.n_records;
        let encode = |(name, mut texts): (String, Vec<String>)| {
            texts.resize(n_records, String::new());
            Ok((name, encode(&mut texts.into_iter().map(|text| Ok(Record::new(text))))?))
        };
        self.texts.into_iter().map(encode).collect()
    }
}
