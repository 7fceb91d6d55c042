//! The texts of all samples as token ids, and how records become them.

use std::borrow::Cow;

use rayon::prelude::*;
use tch::Tensor;

use super::tokens::{TokenStorage, TokenWriter, Tokens};
use super::{PADDING, Tokenizer, UNKNOWN, Vocab, VocabBuilder, VocabOptions, Words};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Record, Result};

/// Records are tokenized in chunks of at most this many, and of about this many bytes of text: few enough that a small file is
/// tokenized while it is read, enough that the words of a chunk are put together once for many of its texts.
const CHUNK_RECORDS: usize = 1024;
const CHUNK_BYTES: usize = 16 << 20;

/// All texts one after the other.
#[derive(Debug)]
pub(crate) struct WordColumn {
    tokens: Tokens,
    /// Where each text ends in `tokens`.
    ends: Vec<usize>,
    /// Another number for any other texts.
    content: u64,
}

/// How wide the rows of a batch are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Padding {
    /// Columns beyond the longest text, at least.
    pub(crate) extra: usize,
    /// Columns in all, at least.
    pub(crate) min_length: usize,
}

impl WordColumn {
    /// Tokenizes training records and makes their vocabulary in the same pass; `take` gets each record, in order.
    pub(crate) fn build(
        records: impl Iterator<Item = Result<Record>> + Send,
        tokenizer: &Tokenizer,
        options: &VocabOptions,
        storage: &TokenStorage,
        take: &mut impl FnMut(Record) -> Result<()>,
    ) -> Result<(Self, Vocab)> {
        let mut writer = Writer::new(storage);
        // Each thread numbers the words that it meets by first appearance until all are counted.
        let tokenize = |record: &Record, part: &mut Part| {
            let Part { tokens, words, .. } = part;
            tokenizer.tokenize(&record.text, &mut |token| tokens.push(words.count(token, 1)));
        };
        // Where the tokens of each part of each chunk end.
        let mut ends = Vec::new();
        let parts = for_each_chunk(records, &tokenize, &mut |chunk, parts| {
            for part in parts {
                ends.push(writer.push(part)?);
            }
            chunk.into_iter().try_for_each(&mut *take)
        })?;
        let mut words = VocabBuilder::new();
        let numbers: Vec<Vec<u32>> = parts.iter().map(|part| words.merge_numbered(&part.words)).collect();
        let (vocab, ids) = words.build_numbered(options)?;
        let ids = &ids;
        let ends = ends.into_iter().zip(numbers.iter().cycle());
        let ends = ends.map(|(end, numbers)| (end, move |token: u32| ids[numbers[token as usize] as usize]));
        Ok((writer.finish(|tokens| tokens.finish_renumbered(ends))?, vocab))
    }

    /// Tokenizes records with a vocabulary; `take` gets each record, in order.
    pub(crate) fn encode(
        records: impl Iterator<Item = Result<Record>> + Send,
        tokenizer: &Tokenizer,
        vocab: &Vocab,
        storage: &TokenStorage,
        take: &mut impl FnMut(Record) -> Result<()>,
    ) -> Result<Self> {
        let mut writer = Writer::new(storage);
        let tokenize = |record: &Record, part: &mut Part| {
            tokenizer.tokenize(&record.text, &mut |token| part.tokens.push(vocab.id(token)));
        };
        for_each_chunk(records, &tokenize, &mut |chunk, parts| {
            parts.iter().try_for_each(|part| writer.push(part).map(drop))?;
            chunk.into_iter().try_for_each(&mut *take)
        })?;
        writer.finish(TokenWriter::finish)
    }

    /// Creates the column of tokens that are there already, which end at `ends`.
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

    /// Returns the texts at `rows`.
    pub(crate) fn collate(&self, rows: &[usize], padding: Padding) -> Result<Words> {
        let lengths: Vec<i64> = rows.iter().map(|&row| self.size(row) as i64).collect();
        let longest = lengths.iter().max().map_or(0, |&longest| longest as usize);
        let width = (longest + padding.extra).max(padding.min_length);
        let mut ids = vec![i64::from(PADDING); rows.len() * width];
        for (padded, &row) in ids.chunks_exact_mut(width.max(1)).zip(rows) {
            for (place, &token) in padded.iter_mut().zip(&*self.row(row)?) {
                *place = i64::from(token);
            }
        }
        Ok(Words {
            ids: Tensor::f_from_slice(&ids)?.f_view([rows.len() as i64, width as i64])?,
            lengths: Tensor::f_from_slice(&lengths)?,
        })
    }

    /// Returns the number of tokens that are not in the vocabulary, of the texts at `rows` or of all.
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

/// What one thread makes of its share of the records.
#[derive(Default)]
struct Part {
    /// Tokens of the neighboring records that it had last.
    tokens: Vec<u32>,
    lengths: Vec<usize>,
    /// The words that the numbers in `tokens` mean, where there is no vocabulary yet; of all records that it had.
    words: VocabBuilder,
}

/// Puts the texts together in their order.
struct Writer {
    tokens: TokenWriter,
    ends: Vec<usize>,
}

impl Writer {
    fn new(storage: &TokenStorage) -> Self {
        Self { tokens: TokenWriter::new(storage), ends: Vec::new() }
    }

    /// Appends the tokens of a part; returns where they end.
    fn push(&mut self, part: &Part) -> Result<usize> {
        let mut end = self.tokens.n_tokens();
        self.tokens.push(&part.tokens)?;
        self.ends.extend(part.lengths.iter().map(|length| {
            end += length;
            end
        }));
        Ok(end)
    }

    fn finish(self, tokens: impl FnOnce(TokenWriter) -> Result<Tokens>) -> Result<WordColumn> {
        WordColumn::new(tokens(self.tokens)?, self.ends)
    }
}

/// Reads records in chunks, tokenizes each in parallel while the next is read, and hands both over in order. Returns the parts,
/// with the words that they found.
fn for_each_chunk(
    mut records: impl Iterator<Item = Result<Record>> + Send,
    tokenize: &(impl Fn(&Record, &mut Part) + Sync),
    take: &mut impl FnMut(Vec<Record>, &[Part]) -> Result<()>,
) -> Result<Vec<Part>> {
    // Two for each thread: they take turns with reading, and texts differ in length.
    let mut parts: Vec<Part> = (0..2 * rayon::current_num_threads()).map(|_| Part::default()).collect();
    let tokenize_part = |(part, records): (&mut Part, &[Record])| {
        for record in records {
            let start = part.tokens.len();
            tokenize(record, part);
            part.lengths.push(part.tokens.len() - start);
        }
    };
    let mut chunk = next_chunk(&mut records)?;
    while !chunk.is_empty() {
        let part_size = chunk.len().div_ceil(parts.len());
        for part in &mut parts {
            part.tokens.clear();
            part.lengths.clear();
        }
        let (next, ()) = rayon::join(
            || next_chunk(&mut records),
            || parts.par_iter_mut().zip(chunk.par_chunks(part_size)).for_each(tokenize_part),
        );
        take(chunk, &parts)?;
        chunk = next?;
    }
    Ok(parts)
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
