//! The texts of all samples as subwords of an encoder.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::column_writer::{ColumnWriter, Shard, for_each_chunk};
use super::token_column::TokenColumn;
use super::tokens::{TokenStorage, TokenWriter};
use super::{SubwordTokenizer, Subwords};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Record, Result};

/// The subwords of all samples, special tokens included.
#[derive(Debug)]
pub(crate) struct SubwordColumn {
    tokens: TokenColumn,
    ids: SubwordIds,
}

/// What the token ids of a column mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubwordIds {
    pub(crate) padding: u32,
    pub(crate) unknown: Option<u32>,
}

impl SubwordColumn {
    /// Creates a column of token ids.
    pub(crate) fn new(tokens: TokenColumn, ids: SubwordIds) -> Self {
        Self { tokens, ids }
    }

    /// Tokenizes records; calls `handle` for each record, in order.
    pub(crate) fn encode(
        records: impl Iterator<Item = Result<Record>> + Send,
        tokenizer: &SubwordTokenizer,
        storage: &TokenStorage,
        handle: &mut impl FnMut(Record) -> Result<()>,
    ) -> Result<Self> {
        let mut writer = ColumnWriter::new(storage);
        let tokenize = |record: &Record, shard: &mut Shard| {
            shard.tokens.extend(tokenizer.tokenize(&record.text)?);
            Ok(())
        };
        for_each_chunk(records, &tokenize, &mut |chunk, shards| {
            shards.iter().try_for_each(|shard| writer.push(shard).map(drop))?;
            chunk.into_iter().try_for_each(&mut *handle)
        })?;
        let ids = SubwordIds { padding: tokenizer.padding_id(), unknown: tokenizer.unknown_id() };
        Ok(Self::new(writer.finish(TokenWriter::finish)?, ids))
    }

    /// Returns the token ids of a text.
    pub(crate) fn row(&self, row: usize) -> Result<Cow<'_, [u32]>> {
        self.tokens.row(row)
    }

    /// Returns the texts at `rows` as a padded batch.
    pub(crate) fn collate(&self, rows: &[usize]) -> Result<Subwords> {
        let (ids, lengths) = self.tokens.collate(rows, |longest| longest, self.ids.padding)?;
        Ok(Subwords { ids, lengths })
    }

    /// Returns the number of unknown tokens in the texts at `rows`, or in all texts.
    pub(crate) fn n_unknown(&self, rows: Option<&[u32]>) -> Result<usize> {
        self.ids.unknown.map_or(Ok(0), |id| self.tokens.count(id, rows))
    }

    pub(crate) fn ids(&self) -> SubwordIds {
        self.ids
    }

    pub(crate) fn tokens(&self) -> &TokenColumn {
        &self.tokens
    }
}

impl Column for SubwordColumn {
    fn n_rows(&self) -> usize {
        self.tokens.n_rows()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        self.tokens.add_to(fingerprint);
    }

    fn size(&self, row: usize) -> usize {
        self.tokens.size(row)
    }
}
