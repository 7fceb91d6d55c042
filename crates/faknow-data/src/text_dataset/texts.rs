//! The compact storage behind a text data set, and how records get into it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::tokens::{Storage, TokenWriter, Tokens};
use crate::fingerprint::Fingerprint;
use crate::text::VocabBuilder;
use crate::{Error, Record, Result};

/// Records are tokenised in chunks of at most so many, and of about so many bytes of text: few enough that a small file is
/// tokenised while it is read, enough that the words of a chunk are put together once for many of its texts.
const CHUNK_RECORDS: usize = 1024;
const CHUNK_BYTES: usize = 16 << 20;

/// All texts behind one another.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) tokens: Tokens,
    /// Where each text ends in `tokens`.
    pub(super) ends: Vec<usize>,
    /// Class of each text; empty if no text has one.
    pub(super) labels: Vec<u32>,
    /// Domain of each text as its place in `domain_names`; empty if those are.
    pub(super) domains: Vec<Option<u32>>,
    pub(super) domain_names: Vec<String>,
    /// Another for any other texts.
    pub(super) content: u64,
}

impl Texts {
    pub(super) fn row(&self, row: usize) -> Result<Cow<'_, [u32]>> {
        self.tokens.read(self.start(row), self.ends[row])
    }

    pub(super) fn length(&self, row: usize) -> usize {
        self.ends[row] - self.start(row)
    }

    fn start(&self, row: usize) -> usize {
        if row == 0 { 0 } else { self.ends[row - 1] }
    }

    /// What `content` should be.
    pub(super) fn fingerprint(&self) -> Result<u64> {
        let mut fingerprint = Fingerprint::new();
        self.domain_names.iter().for_each(|name| fingerprint.add_str(name));
        self.ends.iter().for_each(|&end| fingerprint.add(end as u64));
        self.labels.iter().for_each(|&label| fingerprint.add(u64::from(label)));
        let number = |domain: &Option<u32>| domain.map_or(u64::MAX, u64::from);
        self.domains.iter().for_each(|domain| fingerprint.add(number(domain)));
        self.tokens.for_each_block(&mut |tokens| {
            tokens.iter().for_each(|&token| fingerprint.add(u64::from(token)));
            Ok(())
        })?;
        Ok(fingerprint.finish())
    }

    /// Whether there is a class for each text or for none, and domains are among the names.
    pub(super) fn is_consistent(&self) -> bool {
        let n = self.ends.len();
        let one_each = |n_values: usize| n_values == 0 || n_values == n;
        one_each(self.labels.len())
            && one_each(self.domains.len())
            && self.domains.iter().flatten().all(|&domain| (domain as usize) < self.domain_names.len())
    }

    /// Numbers the domains by their place in `names`.
    fn use_domains(&mut self, names: &[String]) {
        let places: HashMap<&String, u32> = names.iter().zip(0..).collect();
        let ids: Vec<Option<u32>> = self.domain_names.iter().map(|name| places.get(name).copied()).collect();
        if names.is_empty() {
            self.domains = Vec::new();
        } else {
            self.domains
                .iter_mut()
                .for_each(|domain| *domain = domain.and_then(|number| ids[number as usize]));
        }
        self.domain_names = names.to_vec();
    }
}

/// What one thread makes of its share of the records.
#[derive(Default)]
pub(super) struct Part {
    /// Tokens of the neighbouring records that it had last.
    pub(super) tokens: Vec<u32>,
    lengths: Vec<usize>,
    /// The words behind the numbers in `tokens`, where there is no vocabulary yet; of all records that it had.
    pub(super) words: VocabBuilder,
}

/// Puts the texts together in their order.
pub(super) struct Collector {
    texts: Texts,
    tokens: TokenWriter,
    domain_numbers: HashMap<String, u32>,
    n_records: usize,
}

impl Collector {
    pub(super) fn new(storage: &Storage) -> Self {
        let tokens = TokenWriter::new(storage);
        Self { texts: Texts::default(), tokens, domain_numbers: HashMap::new(), n_records: 0 }
    }

    /// Appends the tokens of a part; answers where they end.
    pub(super) fn push_tokens(&mut self, part: &Part) -> Result<usize> {
        let mut end = self.tokens.n_tokens();
        self.tokens.push(&part.tokens)?;
        self.texts.ends.extend(part.lengths.iter().map(|length| {
            end += length;
            end
        }));
        Ok(end)
    }

    pub(super) fn push_record(&mut self, record: Record) -> Result<()> {
        let labelled_before = self.n_records > 0 && !self.texts.labels.is_empty();
        let place = self.n_records + 1;
        match record.label {
            Some(_) if self.n_records > 0 && !labelled_before => {
                return Err(Error::Dataset(format!(
                    "record {place} has a label, and those before it have none"
                )));
            }
            None if labelled_before => {
                return Err(Error::Dataset(format!(
                    "record {place} has no label, and those before it have one"
                )));
            }
            Some(label) => {
                let label = u32::try_from(label).map_err(|_| {
                    Error::Dataset(format!("record {place}: {label} is too large for a class number"))
                })?;
                self.texts.labels.push(label);
            }
            None => {}
        }
        let next = self.domain_numbers.len() as u32;
        let domain = record.domain.map(|name| *self.domain_numbers.entry(name).or_insert(next));
        self.texts.domains.push(domain);
        self.n_records += 1;
        Ok(())
    }

    /// The texts, their tokens made by `tokens`, their domains numbered by their place in `domains` or, without that, by their
    /// own names.
    pub(super) fn finish(
        self,
        tokens: impl FnOnce(TokenWriter) -> Result<Tokens>,
        domains: Option<&[String]>,
    ) -> Result<Texts> {
        let mut texts = self.texts;
        texts.tokens = tokens(self.tokens)?;
        let mut found = vec![String::new(); self.domain_numbers.len()];
        for (name, number) in self.domain_numbers {
            found[number as usize] = name;
        }
        // Numbers must not depend on the order of the records.
        let sorted: BTreeSet<(Option<i64>, &String)> =
            found.iter().map(|name| (name.parse().ok(), name)).collect();
        let (integers, others): (Vec<_>, Vec<_>) =
            sorted.into_iter().partition(|(integer, _)| integer.is_some());
        let names: Vec<String> = integers.into_iter().chain(others).map(|(_, name)| name.clone()).collect();
        texts.domain_names = found;
        texts.use_domains(&names);
        if let Some(domains) = domains {
            texts.use_domains(domains);
        }
        texts.content = texts.fingerprint()?;
        Ok(texts)
    }
}

/// Reads records in chunks, tokenises each in parallel while the next is read, and hands both over in order. Answers the parts,
/// with the words that they found.
pub(super) fn for_each_chunk(
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
