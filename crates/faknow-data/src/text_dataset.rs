//! Labelled texts as token numbers, kept compactly, and their batches.

mod saved;
mod texts;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use tch::Tensor;

use self::texts::{Collector, Part, Texts, for_each_chunk};
pub use self::tokens::Storage;
use self::tokens::TokenWriter;
use crate::fingerprint::Fingerprint;
use crate::text::{PADDING, Tokenizer, UNKNOWN, Vocab, VocabBuilder, VocabOptions};
use crate::{Dataset, Error, Record, Result, TextBatch};

/// What stands in a batch for the domain of a text that has none, or one that training did not know.
const NO_DOMAIN: i64 = -1;

/// Texts as token numbers, with their classes and domains.
///
/// It takes 4 bytes a token, in memory or, beyond the limit of its [`Storage`], in a file, and some 16 bytes of memory a text;
/// the texts themselves are not kept. A clone or a [`subset`](Self::subset) shares them.
///
/// ```
/// use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
/// use faknow_data::{Dataset, Record, TextDataset};
///
/// let record = |text: &str, class| Ok(Record { text: text.into(), label: Some(class), ..Record::default() });
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// let training = [record("Moon made of cheese", 1), record("Rain on the moon", 0)];
/// let (training, vocab) = TextDataset::build(training, &tokenizer, &VocabOptions::default())?;
/// let test = TextDataset::from_records([record("Cheese rain", 1)], &tokenizer, &vocab, training.domains())?;
/// assert_eq!(*test.tokens(0)?, [vocab.id("cheese"), vocab.id("rain")]);
/// assert_eq!(training.batch(&[1, 0])?.tokens.size(), [2, 4]);
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextDataset {
    texts: Arc<Texts>,
    /// Which of the texts this data set has, in which order; all of them if `None`.
    rows: Option<Arc<[u32]>>,
    margin: usize,
    min_length: usize,
}

impl TextDataset {
    /// Tokenises training records and makes their vocabulary in the same pass.
    ///
    /// The records are read once, in chunks which are tokenised in parallel; the result is the same whatever the
    /// number of threads.
    ///
    /// # Errors
    /// The first error among the records; if some have a label and others none; if no word is left for the
    /// vocabulary, or there is no record.
    pub fn build<I>(records: I, tokenizer: &Tokenizer, options: &VocabOptions) -> Result<(Self, Vocab)>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        Self::build_in(records, tokenizer, options, &Storage::default())
    }

    /// As [`build`](Self::build), the tokens kept in `storage`.
    ///
    /// # Errors
    /// As [`build`](Self::build); a temporary file cannot be written.
    pub fn build_in<I>(
        records: I,
        tokenizer: &Tokenizer,
        options: &VocabOptions,
        storage: &Storage,
    ) -> Result<(Self, Vocab)>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        let mut collector = Collector::new(storage);
        // Each thread numbers the words that it meets by first appearance until all are counted.
        let tokenize = |record: &Record, part: &mut Part| {
            let Part { tokens, words, .. } = part;
            tokenizer.tokenize(&record.text, &mut |token| tokens.push(words.count(token, 1)));
        };
        // Where the tokens of each part of each chunk end.
        let mut ends = Vec::new();
        let parts = for_each_chunk(records.into_iter(), &tokenize, &mut |chunk, parts| {
            for part in parts {
                ends.push(collector.push_tokens(part)?);
            }
            chunk.into_iter().try_for_each(|record| collector.push_record(record))
        })?;
        let mut words = VocabBuilder::new();
        let numbers: Vec<Vec<u32>> = parts.iter().map(|part| words.merge_numbered(&part.words)).collect();
        let (vocab, ids) = words.build_numbered(options)?;
        let ids = &ids;
        let ends = ends.into_iter().zip(numbers.iter().cycle());
        let ends = ends.map(|(end, numbers)| (end, move |token: u32| ids[numbers[token as usize] as usize]));
        let texts = collector.finish(|tokens| tokens.finish_renumbered(ends), None)?;
        Ok((Self::of(texts), vocab))
    }

    /// Tokenises records with a vocabulary that is there already: for validation, testing and prediction.
    ///
    /// `domains` are the names that training knows ([`domains`](Self::domains) of its data set). Without any, as
    /// with `&[]`, batches have no domains.
    ///
    /// # Errors
    /// The first error among the records; if some have a label and others none.
    pub fn from_records<I>(
        records: I,
        tokenizer: &Tokenizer,
        vocab: &Vocab,
        domains: &[String],
    ) -> Result<Self>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        Self::from_records_in(records, tokenizer, vocab, domains, &Storage::default())
    }

    /// As [`from_records`](Self::from_records), the tokens kept in `storage`.
    ///
    /// # Errors
    /// As [`from_records`](Self::from_records); a temporary file cannot be written.
    pub fn from_records_in<I>(
        records: I,
        tokenizer: &Tokenizer,
        vocab: &Vocab,
        domains: &[String],
        storage: &Storage,
    ) -> Result<Self>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        let mut collector = Collector::new(storage);
        let tokenize = |record: &Record, part: &mut Part| {
            tokenizer.tokenize(&record.text, &mut |token| part.tokens.push(vocab.id(token)));
        };
        for_each_chunk(records.into_iter(), &tokenize, &mut |chunk, parts| {
            parts.iter().try_for_each(|part| collector.push_tokens(part).map(drop))?;
            chunk.into_iter().try_for_each(|record| collector.push_record(record))
        })?;
        let texts = collector.finish(TokenWriter::finish, Some(domains))?;
        Ok(Self::of(texts))
    }

    fn of(texts: Texts) -> Self {
        Self { texts: Arc::new(texts), rows: None, margin: 0, min_length: 1 }
    }

    /// Pads each text of a batch by at least `n` columns beyond the longest; default 0.
    ///
    /// A model that looks at `n` neighbouring tokens and takes a maximum sees then what it would see behind any
    /// longer padding, so that its result does not depend on the other texts of the batch.
    pub fn with_margin(mut self, n: usize) -> Self {
        self.margin = n;
        self
    }

    /// Pads batches to at least `n` columns, margin included; default 1.
    pub fn with_min_length(mut self, n: usize) -> Self {
        self.min_length = n;
        self
    }

    /// The texts at `indices`, in that order; the token numbers are shared, not copied.
    ///
    /// # Errors
    /// If an index is not below the number of samples.
    pub fn subset(&self, indices: &[usize]) -> Result<Self> {
        let rows = indices
            .iter()
            .map(|&index| self.checked_row(index).map(|row| row as u32))
            .collect::<Result<_>>()?;
        Ok(Self { rows: Some(rows), ..self.clone() })
    }

    /// The token numbers of a text; empty for a text without tokens, or an index that is not below `n_samples`.
    ///
    /// # Errors
    /// The file that they lie in cannot be read.
    pub fn tokens(&self, index: usize) -> Result<Cow<'_, [u32]>> {
        self.row(index).map_or(Ok(Cow::Borrowed(&[])), |row| self.texts.row(row))
    }

    /// Number of tokens of all texts.
    pub fn n_tokens(&self) -> usize {
        (0..self.n_samples()).map(|index| self.length(index)).sum()
    }

    /// Number of tokens that are not in the vocabulary.
    ///
    /// # Errors
    /// The file that the tokens lie in cannot be read.
    pub fn n_unknown(&self) -> Result<usize> {
        let unknown = |tokens: &[u32]| tokens.iter().filter(|&&token| token == UNKNOWN).count();
        let mut n = 0;
        match &self.rows {
            Some(_) => (0..self.n_samples()).try_for_each(|index| {
                n += unknown(&self.tokens(index)?);
                Ok(())
            }),
            None => self.texts.tokens.for_each_block(&mut |tokens| {
                n += unknown(tokens);
                Ok(())
            }),
        }?;
        Ok(n)
    }

    /// Whether the tokens lie in a file rather than in memory.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.texts.tokens, tokens::Tokens::File(_))
    }

    /// Names of the domains by their number: integers by their value, then other names in alphabetic order. Empty
    /// if no text has a domain.
    pub fn domains(&self) -> &[String] {
        &self.texts.domain_names
    }

    /// Number of the domain of a text, if it has one that training knows.
    pub fn domain(&self, index: usize) -> Option<usize> {
        let domain = *self.texts.domains.get(self.row(index)?)?;
        domain.map(|domain| domain as usize)
    }

    /// Whether the texts are labelled: all are, or none.
    pub fn is_labelled(&self) -> bool {
        !self.texts.labels.is_empty()
    }

    /// Checks that a model can learn the classes of these names, in the order of their numbers, from these texts.
    ///
    /// # Errors
    /// If there is no text or no label, a class has no text, or a text has a class without a name.
    pub fn check_classes(&self, names: &[String]) -> Result<()> {
        let counts = self.class_counts();
        let error = |message: String| Err(Error::Dataset(message));
        if self.n_samples() == 0 {
            return error("the data set is empty".to_owned());
        }
        if counts.is_empty() {
            return error(format!("no record has a label: expected one of {}", names.join(", ")));
        }
        if counts.len() > names.len() {
            let (largest, n) = (counts.len() - 1, names.len());
            return error(format!(
                "class {largest} occurs, but there are {n} classes ({})",
                names.join(", ")
            ));
        }
        let missing =
            names.iter().enumerate().filter(|(class, _)| counts.get(*class).is_none_or(|&n| n == 0));
        let missing: Vec<&str> = missing.map(|(_, name)| name.as_str()).collect();
        match missing.as_slice() {
            [] => Ok(()),
            [class] => error(format!("no record of class `{class}` among {}", self.n_samples())),
            classes => {
                error(format!("no record of classes `{}` among {}", classes.join("`, `"), self.n_samples()))
            }
        }
    }

    /// A number that is another for other tokens, classes, domains or another order, the same on every machine.
    pub fn fingerprint(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(self.texts.content);
        // All texts in their order are the same data set as a subset and as a whole.
        let all = self.texts.ends.len();
        let others =
            |rows: &&Arc<[u32]>| rows.len() != all || !rows.iter().zip(0..).all(|(&row, i)| row == i);
        if let Some(rows) = self.rows.as_ref().filter(others) {
            rows.iter().for_each(|&row| fingerprint.add(u64::from(row)));
        }
        fingerprint.finish()
    }

    /// Place among all texts of the text at `index`.
    fn row(&self, index: usize) -> Option<usize> {
        match &self.rows {
            Some(rows) => rows.get(index).map(|&row| row as usize),
            None => (index < self.texts.ends.len()).then_some(index),
        }
    }

    fn checked_row(&self, index: usize) -> Result<usize> {
        self.row(index).ok_or_else(|| {
            Error::Dataset(format!(
                "index {index} is out of range: the data set has {} samples",
                self.n_samples()
            ))
        })
    }
}

impl Dataset for TextDataset {
    type Batch = TextBatch;

    fn fingerprint(&self) -> Option<u64> {
        Some(self.fingerprint())
    }

    fn n_samples(&self) -> usize {
        self.rows.as_ref().map_or(self.texts.ends.len(), |rows| rows.len())
    }

    fn batch(&self, indices: &[usize]) -> Result<TextBatch> {
        let rows: Vec<usize> = indices.iter().map(|&index| self.checked_row(index)).collect::<Result<_>>()?;
        let lengths: Vec<i64> = rows.iter().map(|&row| self.texts.length(row) as i64).collect();
        let longest = lengths.iter().max().map_or(0, |&longest| longest as usize);
        let width = (longest + self.margin).max(self.min_length);

        let mut tokens = vec![i64::from(PADDING); rows.len() * width];
        for (padded, &row) in tokens.chunks_exact_mut(width.max(1)).zip(&rows) {
            for (place, &token) in padded.iter_mut().zip(&*self.texts.row(row)?) {
                *place = i64::from(token);
            }
        }
        let labels = self.texts.labels.as_slice();
        let labels: Vec<i64> =
            rows.iter().filter_map(|&row| labels.get(row)).map(|&label| i64::from(label)).collect();
        let domains = self.texts.domains.as_slice();
        let domains: Vec<i64> = rows
            .iter()
            .filter_map(|&row| domains.get(row))
            .map(|domain| domain.map_or(NO_DOMAIN, i64::from))
            .collect();

        let tensor_if = |given: bool, values: &[i64]| given.then(|| Tensor::f_from_slice(values)).transpose();
        Ok(TextBatch {
            tokens: Tensor::f_from_slice(&tokens)?.f_view([rows.len() as i64, width as i64])?,
            lengths: Tensor::f_from_slice(&lengths)?,
            labels: tensor_if(self.is_labelled(), &labels)?,
            domains: tensor_if(!self.domains().is_empty(), &domains)?,
            indices: indices.to_vec(),
        })
    }

    fn length(&self, index: usize) -> usize {
        self.row(index).map_or(0, |row| self.texts.length(row))
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.texts.labels.get(self.row(index)?).map(|&label| label as usize)
    }
}
