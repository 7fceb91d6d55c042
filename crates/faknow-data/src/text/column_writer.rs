//! Parallel tokenization of records into a column of tokens.

use rayon::prelude::*;

use super::VocabBuilder;
use super::token_column::TokenColumn;
use super::tokens::{TokenStorage, TokenWriter, Tokens};
use crate::{Error, Record, Result};

/// Maximum number of records per chunk: few enough that a small file is tokenized while it is read, enough that the overhead
/// of merging a chunk is shared by many texts.
const CHUNK_RECORDS: usize = 1024;
/// Approximate maximum number of bytes of text per chunk.
const CHUNK_BYTES: usize = 16 << 20;

/// The tokens of consecutive records of a chunk, which one task produces.
#[derive(Default)]
pub(super) struct Shard {
    /// Tokens of its records of the current chunk.
    pub(super) tokens: Vec<u32>,
    lengths: Vec<usize>,
    /// The first error of the current chunk.
    error: Option<Error>,
    /// While there is no vocabulary yet: the words of all its records so far, which `tokens` index.
    pub(super) words: VocabBuilder,
}

/// A writer of a column, text by text.
pub(super) struct ColumnWriter {
    tokens: TokenWriter,
    ends: Vec<usize>,
}

impl ColumnWriter {
    pub(super) fn new(storage: &TokenStorage) -> Self {
        Self { tokens: TokenWriter::new(storage), ends: Vec::new() }
    }

    /// Appends the tokens of a shard; returns their end.
    pub(super) fn push(&mut self, shard: &Shard) -> Result<usize> {
        let mut end = self.tokens.n_tokens();
        self.tokens.push(&shard.tokens)?;
        self.ends.extend(shard.lengths.iter().map(|length| {
            end += length;
            end
        }));
        Ok(end)
    }

    pub(super) fn finish(self, tokens: impl FnOnce(TokenWriter) -> Result<Tokens>) -> Result<TokenColumn> {
        TokenColumn::new(tokens(self.tokens)?, self.ends)
    }
}

/// Reads records in chunks, tokenizes each in parallel while the next is read, and calls `handle` with both, in order. Returns
/// the shards with their words.
pub(super) fn for_each_chunk(
    mut records: impl Iterator<Item = Result<Record>> + Send,
    tokenize: &(impl Fn(&Record, &mut Shard) -> Result<()> + Sync),
    handle: &mut impl FnMut(Vec<Record>, &[Shard]) -> Result<()>,
) -> Result<Vec<Shard>> {
    // Two per thread, as threads also read, and texts differ in length.
    let mut shards: Vec<Shard> = (0..2 * rayon::current_num_threads()).map(|_| Shard::default()).collect();
    let tokenize_shard = |(shard, records): (&mut Shard, &[Record])| {
        for record in records {
            let start = shard.tokens.len();
            if let Err(error) = tokenize(record, shard) {
                shard.error = Some(error);
                return;
            }
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
        match shards.iter_mut().find_map(|shard| shard.error.take()) {
            Some(error) => return Err(error),
            None => handle(chunk, &shards)?,
        }
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
