//! The token ids of all samples' texts, and the tokenization of records.

use std::borrow::Cow;

use rayon::prelude::*;
use tch::Tensor;

use super::tokens::{TokenStorage, TokenWriter, Tokens};
use super::{PADDING, Tokenizer, UNKNOWN, Vocab, VocabBuilder, VocabOptions, Words};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Record, Result};

/// Maximum number of records per chunk: few enough that a small file is tokenized while it is read, enough that the overhead
/// of merging a chunk is shared by many texts.
const CHUNK_RECORDS: usize = 1024;
/// Approximate maximum number of bytes of text per chunk.
const CHUNK_BYTES: usize = 16 << 20;

/// The concatenated texts of all samples.
#[derive(Debug)]
pub(crate) struct WordColumn {
    tokens: Tokens,
    /// The end of each text in `tokens`.
    ends: Vec<usize>,
    /// Hash of the texts.
    content: u64,
}

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
        Ok((writer.finish(|tokens| tokens.finish_renumbered(ends))?, vocab))
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
        };
        for_each_chunk(records, &tokenize, &mut |chunk, shards| {
            shards.iter().try_for_each(|shard| writer.push(shard).map(drop))?;
            chunk.into_iter().try_for_each(&mut *handle)
        })?;
        writer.finish(TokenWriter::finish)
    }

    /// Creates a column from tokens and the ends of the texts.
    pub(crate) fn new(tokens: Tokens, ends: Vec<usize>) -> Result<Self> {
        let mut fingerprint = Fingerprint::new();
        ends.iter().for_each(|&end| fingerprint.add(end as u64));
        tokens.for_each_block(&mut |tokens| {
            tokens.iter().for_each(|&token| fingerprint.add(u64::from(token)));
            Ok(())
        })?;
        Ok(Self { tokens, ends, content: fingerprint.finish() })
    }

    /// Returns the token ids of a text.
    pub(crate) fn row(&self, row: usize) -> Result<Cow<'_, [u32]>> {
        self.tokens.read(self.start(row), self.ends[row])
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] }
    }

    /// Returns the texts at `rows` as a padded batch.
    pub(crate) fn collate(&self, rows: &[usize], padding: Padding) -> Result<Words> {
        let lengths: Vec<i64> = rows.iter().map(|&row| self.size(row) as i64).collect();
        let longest = lengths.iter().max().map_or(0, |&longest| longest as usize);
        let width = (longest + padding.extra).max(padding.min_length);
        let mut ids = vec![i64::from(PADDING); rows.len() * width];
        for (padded, &row) in ids.chunks_exact_mut(width.max(1)).zip(rows) {
            for (id, &token) in padded.iter_mut().zip(&*self.row(row)?) {
                *id = i64::from(token);
            }
        }
        Ok(Words {
            ids: Tensor::f_from_slice(&ids)?.f_view([rows.len() as i64, width as i64])?,
            lengths: Tensor::f_from_slice(&lengths)?,
        })
    }

    /// Returns the number of unknown tokens in the texts at `rows`, or in all texts.
    pub(crate) fn n_unknown(&self, rows: Option<&[u32]>) -> Result<usize> {
        let mut n = 0;
        let mut count = |tokens: &[u32]| n += tokens.iter().filter(|&&token| token == UNKNOWN).count();
        match rows {
            Some(rows) => rows.iter().try_for_each(|&row| {
                count(&self.row(row as usize)?);
                Ok(())
            }),
            None => self.tokens.for_each_block(&mut |tokens| {
                count(tokens);
                Ok(())
            }),
        }?;
        Ok(n)
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}

impl Column for WordColumn {
    fn n_rows(&self) -> usize {
        self.ends.len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add(self.content);
    }

    fn size(&self, row: usize) -> usize {
        self.ends[row] - self.start(row)
    }
}

/// The tokens of consecutive records of a chunk, which one task produces.
#[derive(Default)]
struct Shard {
    /// Tokens of its records of the current chunk.
    tokens: Vec<u32>,
    lengths: Vec<usize>,
    /// While there is no vocabulary yet: the words of all its records so far, which `tokens` index.
    words: VocabBuilder,
}

/// A writer of a column, text by text.
struct ColumnWriter {
    tokens: TokenWriter,
    ends: Vec<usize>,
}

impl ColumnWriter {
    fn new(storage: &TokenStorage) -> Self {
        Self { tokens: TokenWriter::new(storage), ends: Vec::new() }
    }

    /// Appends the tokens of a shard; returns their end.
    fn push(&mut self, shard: &Shard) -> Result<usize> {
        let mut end = self.tokens.n_tokens();
        self.tokens.push(&shard.tokens)?;
        self.ends.extend(shard.lengths.iter().map(|length| {
            end += length;
            end
        }));
        Ok(end)
    }

    fn finish(self, tokens: impl FnOnce(TokenWriter) -> Result<Tokens>) -> Result<WordColumn> {
        WordColumn::new(tokens(self.tokens)?, self.ends)
    }
}

/// Reads records in chunks, tokenizes each in parallel while the next is read, and calls `handle` with both, in order. Returns
/// the shards with their words.
fn for_each_chunk(
    mut records: impl Iterator<Item = Result<Record>> + Send,
    tokenize: &(impl Fn(&Record, &mut Shard) + Sync),
    handle: &mut impl FnMut(Vec<Record>, &[Shard]) -> Result<()>,
) -> Result<Vec<Shard>> {
    // Two per thread, as threads also read, and texts differ in length.
    let mut shards: Vec<Shard> = (0..2 * rayon::current_num_threads()).map(|_| Shard::default()).collect();
    let tokenize_shard = |(shard, records): (&mut Shard, &[Record])| {
        for record in records {
            let start = shard.tokens.len();
            tokenize(record, shard);
            shard.lengths.push(shard.tokens.len() - start);
        }
    };
    let mut chunk = next_chunk(&mut records)?;
    while !chunk.is_empty() {
        let shard_size = chunk.len().div_ceil(shards.len());
        for shard in &mut shards {
            shard.tokens.clear();
            shard.lengths.clear();
        }
        let (next, ()) = rayon::join(
            || next_chunk(&mut records),
            || shards.par_iter_mut().zip(chunk.par_chunks(shard_size)).for_each(tokenize_shard),
        );
        handle(chunk, &shards)?;
        chunk = next?;
    }
    Ok(shards)
}

fn next_chunk(records: &mut impl Iterator<Item = Result<Record>>) -> Result<Vec<Record>> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while chunk.len() < CHUNK_RECORDS && bytes < CHUNK_BYTES {
        let Some(record) = records.next().transpose()? else { break };
        bytes += record.text.len();
        chunk.push(record);
    }
    Ok(chunk)
}
