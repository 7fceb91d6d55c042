//! Datasets of texts, labels, domains and features from records, which also collect the sources of their images.

use std::sync::Arc;

use super::dataset::{Columns, FieldDataset};
use super::domains::{DomainBuilder, DomainColumn};
use super::features::FeatureBuilder;
use super::further_texts::{FurtherText, FurtherTextBuilder};
use crate::image::RecordImage;
use crate::records::check_class_index;
use crate::text::{
    SubwordColumn, SubwordTokenizer, TokenStorage, Tokenizer, Vocab, VocabOptions, WordColumn,
};
use crate::{Error, Record, Result};

impl FieldDataset {
    /// Tokenizes training records and builds their vocabulary in the same pass.
    ///
    /// The records are read once, in chunks that are tokenized in parallel; the result does not depend on the number of
    /// threads.
    ///
    /// # Errors
    /// The first error among the records; [`Error::Dataset`] if only some records are labeled, or the vocabulary is empty.
    pub fn build<I>(records: I, tokenizer: &Tokenizer, options: &VocabOptions) -> Result<(Self, Vocab)>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        Self::build_in(records, tokenizer, options, &TokenStorage::default())
    }

    /// Builds a dataset like [`build`](Self::build), with the tokens in `storage`.
    ///
    /// # Errors
    /// As [`build`](Self::build), or a temporary file cannot be written.
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
        let mut fields = RecordFields::default();
        let records = records.into_iter();
        let (words, vocab) =
            WordColumn::build(records, tokenizer, options, storage, &mut |record| fields.push(record))?;
        Ok((fields.with_words(words, None, tokenizer, &vocab, storage)?, vocab))
    }

    /// Tokenizes records with an existing vocabulary, for validation, testing and prediction.
    ///
    /// `domains` are the [`domains`](Self::domains) of the training dataset; if empty, batches have no domains.
    ///
    /// # Errors
    /// The first error among the records; [`Error::Dataset`] if only some records are labeled.
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

    /// Creates a dataset like [`from_records`](Self::from_records), with the tokens in `storage`.
    ///
    /// # Errors
    /// As [`from_records`](Self::from_records), or a temporary file cannot be written.
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
        let mut fields = RecordFields::default();
        let records = records.into_iter();
        let words =
            WordColumn::encode(records, tokenizer, vocab, storage, &mut |record| fields.push(record))?;
        fields.with_words(words, Some(domains), tokenizer, vocab, storage)
    }

    /// Tokenizes records with the tokenizer of an encoder, in parallel, with the tokens in `storage`.
    ///
    /// `domains` are the [`domains`](Self::domains) of the training dataset; `None` for the training dataset, whose domains are
    /// those of its records.
    ///
    /// # Errors
    /// The first error among the records; [`Error::Dataset`] if only some records are labeled, or the tokenizer fails.
    pub fn from_subwords<I>(
        records: I,
        tokenizer: &SubwordTokenizer,
        domains: Option<&[String]>,
        storage: &TokenStorage,
    ) -> Result<Self>
    where
        I: IntoIterator<Item = Result<Record>>,
        I::IntoIter: Send,
    {
        let mut fields = RecordFields::default();
        let records = records.into_iter();
        let subwords = SubwordColumn::encode(records, tokenizer, storage, &mut |record| fields.push(record))?;
        let texts = std::mem::take(&mut fields.texts).finish(|records| {
            let column = SubwordColumn::encode(records, tokenizer, storage, &mut |_| Ok(()))?;
            Ok(FurtherText::Subwords(Arc::new(column), None))
        })?;
        let columns = Columns { subwords: Some(Arc::new(subwords)), texts, ..Columns::default() };
        Ok(fields.with_columns(columns, domains))
    }
}

/// The labels, domains, features and images of records.
#[derive(Default)]
struct RecordFields {
    n_records: usize,
    labels: Vec<u32>,
    domains: DomainBuilder,
    features: FeatureBuilder,
    texts: FurtherTextBuilder,
    /// Images of the records; empty until one has an image.
    images: Vec<Option<RecordImage>>,
}

impl RecordFields {
    fn push(&mut self, record: Record) -> Result<()> {
        let is_labeled = !self.labels.is_empty();
        let number = self.n_records + 1;
        match record.label {
            Some(_) if self.n_records > 0 && !is_labeled => {
                return Err(Error::Dataset(format!(
                    "record {number}: expected all records to be labeled or none, got the first label"
                )));
            }
            None if is_labeled => {
                return Err(Error::Dataset(format!(
                    "record {number}: expected all records to be labeled or none, got no label"
                )));
            }
            Some(label) => {
                let label = check_class_index(label);
                self.labels
                    .push(label.map_err(|message| Error::Dataset(format!("record {number}: {message}")))?);
            }
            None => {}
        }
        if let Some(source) = record.image {
            // Records that were not read from a file have no numbers.
            let record_number = if record.number > 0 { record.number } else { number };
            self.images.resize(self.n_records, None);
            self.images.push(Some(RecordImage {
                source,
                record: record_number,
                origin: record.image_origin,
            }));
        }
        self.domains.push(record.domain);
        self.texts.push(record.texts);
        self.features
            .push(record.features)
            .map_err(|message| Error::Dataset(format!("record {number}: {message}")))?;
        self.n_records += 1;
        Ok(())
    }

    /// Returns the dataset with these words; the vocabulary of further texts is the same.
    fn with_words(
        mut self,
        words: WordColumn,
        domains: Option<&[String]>,
        tokenizer: &Tokenizer,
        vocab: &Vocab,
        storage: &TokenStorage,
    ) -> Result<FieldDataset> {
        let texts = std::mem::take(&mut self.texts).finish(|records| {
            let column = WordColumn::encode(records, tokenizer, vocab, storage, &mut |_| Ok(()))?;
            Ok(FurtherText::Words(Arc::new(column)))
        })?;
        let columns = Columns { words: Some(Arc::new(words)), texts, ..Columns::default() };
        Ok(self.with_columns(columns, domains))
    }

    /// Returns the dataset with these texts; domains are numbered by `names` or, without given names, sorted.
    fn with_columns(mut self, texts: Columns, names: Option<&[String]>) -> FieldDataset {
        let has_images = !self.images.is_empty();
        self.images.resize(self.n_records, None);
        let domains: Option<DomainColumn> = self.domains.finish(names);
        FieldDataset::new(Columns {
            n_rows: self.n_records,
            labels: Arc::new(self.labels),
            domains: domains.map(Arc::new),
            features: self.features.finish(),
            image_sources: has_images.then(|| Arc::new(self.images)),
            ..texts
        })
    }
}
