//! The texts of all samples as words of a vocabulary.

use std::borrow::Cow;

use super::column_writer::{ColumnWriter, Shard, for_each_chunk};
use super::token_column::TokenColumn;
use super::tokens::{TokenStorage, TokenWriter};
use super::{PADDING, Tokenizer, UNKNOWN, Vocab, VocabBuilder, VocabOptions, Words};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Record, Result};

/// The words of all samples.
#[derive(Debug)]
pub(crate) struct WordColumn(TokenColumn);

/// The padding of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Padding {
    /// Minimum number of columns after the longest text.
    pub(crate) extra: usize,
    /// Minimum number of columns in total.
    pub(crate) min_length: usize,
}

impl WordColumn {
    /// Tokenizes training records and builds their vocabulary in the same pass; calls `handle` for each record, in order.
    pub(crate) fn build(
        records: impl Iterator<Item = Result<Record>> + Send,
        tokenizer: &Tokenizer,
        options: &VocabOptions,
        storage: &TokenStorage,
        handle: &mut impl FnMut(Record) -> Result<()>,
    ) -> Result<(Self, Vocab)> {
        let mut writer = ColumnWriter::new(storage);
        // Until all words are counted, each shard numbers its words by first occurrence.
        let tokenize = |record: &Record, shard: &mut Shard| {
            let Shard { tokens, words, .. } = shard;
            tokenizer.tokenize(&record.text, &mut |token| tokens.push(words.count(token, 1)));
            Ok(())
        };
        // The end of the tokens of each shard of each chunk.
        let mut ends = Vec::new();
        let shards = for_each_chunk(records, &tokenize, &mut |chunk, shards| {
            for shard in shards {
                ends.push(writer.push(shard)?);
            }
            chunk.into_iter().try_for_each(&mut *handle)
        })?;
        let mut words = VocabBuilder::new();
        let numbers: Vec<Vec<u32>> = shards.iter().map(|shard| words.merge_numbered(&shard.words)).collect();
        let (vocab, ids) = words.build_numbered(options)?;
        let ids = &ids;
        let ends = ends.into_iter().zip(numbers.iter().cycle());
        let ends = ends.map(|(end, numbers)| (end, move |token: u32| ids[numbers[token as usize] as usize]));
        Ok((Self(writer.finish(|tokens| tokens.finish_renumbered(ends))?), vocab))
    }

    /// Tokenizes records with a vocabulary; calls `handle` for each record, in order.
    pub(crate) fn encode(
        records: impl Iterator<Item = Result<Record>> + Send,
        tokenizer: &Tokenizer,
        vocab: &Vocab,
        storage: &TokenStorage,
        handle: &mut impl FnMut(Record) -> Result<()>,
    ) -> Result<Self> {
        let mut writer = ColumnWriter::new(storage);
        let tokenize = |record: &Record, shard: &mut Shard| {
            tokenizer.tokenize(&record.text, &mut |token| shard.tokens.push(vocab.id(token)));
            Ok(())
        };
        for_each_chunk(records, &tokenize, &mut |chunk, shards| {
            shards.iter().try_for_each(|shard| writer.push(shard).map(drop))?;
            chunk.into_iter().try_for_each(&mut *handle)
        })?;
        writer.finish(TokenWriter::finish).map(Self)
    }

    /// Creates a column of token ids.
    pub(crate) fn new(tokens: TokenColumn) -> Self {
        Self(tokens)
    }

    /// Returns the token ids of a text.
    pub(crate) fn row(&self, row: usize) -> Result<Cow<'_, [u32]>> {
        self.0.row(row)
    }

    /// Returns the texts at `rows` as a padded batch.
    pub(crate) fn collate(&self, rows: &[usize], padding: Padding) -> Result<Words> {
        let width = |longest: usize| (longest + padding.extra).max(padding.min_length);
        let (ids, lengths) = self.0.collate(rows, width, PADDING)?;
        Ok(Words { ids, lengths })
    }

    /// Returns the number of unknown tokens in the texts at `rows`, or in all texts.
    pub(crate) fn n_unknown(&self, rows: Option<&[u32]>) -> Result<usize> {
        self.0.count(UNKNOWN, rows)
    }

    pub(crate) fn tokens(&self) -> &TokenColumn {
        &self.0
    }
}

impl Column for WordColumn {
    fn n_rows(&self) -> usize {
        self.0.n_rows()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        self.0.add_to(fingerprint);
    }

    fn size(&self, row: usize) -> usize {
        self.0.size(row)
    }
}
