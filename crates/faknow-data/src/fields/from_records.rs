//! From records to a data set of texts, labels and domains.

use std::sync::Arc;

use super::dataset::{Columns, FieldDataset};
use super::domains::{DomainBuilder, DomainColumn};
use crate::records::check_class_number;
use crate::text::{TokenStorage, Tokenizer, Vocab, VocabOptions, WordColumn};
use crate::{Error, Record, Result};

impl FieldDataset {
    /// Tokenizes training records and makes their vocabulary in the same pass.
    ///
    /// The records are read once, in chunks which are tokenized in parallel; the result is the same whatever the
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
        Self::build_in(records, tokenizer, options, &TokenStorage::default())
    }

    /// As [`build`](Self::build), with the tokens in `storage`.
    ///
    /// # Errors
    /// As [`build`](Self::build); a temporary file cannot be written.
    pub fn build_in<I>(
        records: I,
        tokenizer: &Tokenizer,
        options: &VocabOptions,
        storage: &TokenStorage,
    ) -> Result<(Self, Vocab)>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        let mut others = Others::default();
        let records = records.into_iter();
        let (words, vocab) =
            WordColumn::build(records, tokenizer, options, storage, &mut |record| others.push(record))?;
        Ok((others.with_words(words, None), vocab))
    }

    /// Tokenizes records with a vocabulary that is there already: for validation, testing and prediction.
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
        Self::from_records_in(records, tokenizer, vocab, domains, &TokenStorage::default())
    }

    /// As [`from_records`](Self::from_records), with the tokens in `storage`.
    ///
    /// # Errors
    /// As [`from_records`](Self::from_records); a temporary file cannot be written.
    pub fn from_records_in<I>(
        records: I,
        tokenizer: &Tokenizer,
        vocab: &Vocab,
        domains: &[String],
        storage: &TokenStorage,
    ) -> Result<Self>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        let mut others = Others::default();
        let records = records.into_iter();
        let words =
            WordColumn::encode(records, tokenizer, vocab, storage, &mut |record| others.push(record))?;
        Ok(others.with_words(words, Some(domains)))
    }
}

/// What records hold besides their texts.
#[derive(Default)]
struct Others {
    n_records: usize,
    labels: Vec<u32>,
    domains: DomainBuilder,
}

impl Others {
    fn push(&mut self, record: Record) -> Result<()> {
        let labeled_before = self.n_records > 0 && !self.labels.is_empty();
        let place = self.n_records + 1;
        match record.label {
            Some(_) if self.n_records > 0 && !labeled_before => {
                return Err(Error::Dataset(format!(
                    "record {place} has a label, and those before it have none"
                )));
            }
            None if labeled_before => {
                return Err(Error::Dataset(format!(
                    "record {place} has no label, and those before it have one"
                )));
            }
            Some(label) => {
                let label = check_class_number(label);
                self.labels.push(label.map_err(|what| Error::Dataset(format!("record {place}: {what}")))?);
            }
            None => {}
        }
        self.domains.push(record.domain);
        self.n_records += 1;
        Ok(())
    }

    /// Returns the data set with these texts; domains are numbered by `names` or, without that, by their own names.
    fn with_words(self, words: WordColumn, names: Option<&[String]>) -> FieldDataset {
        let domains: Option<DomainColumn> = self.domains.finish(names);
        FieldDataset::new(Columns {
            n_rows: self.n_records,
            labels: Arc::new(self.labels),
            words: Some(Arc::new(words)),
            domains: domains.map(Arc::new),
            ..Columns::default()
        })
    }
}
