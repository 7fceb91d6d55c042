//! A dataset of named fields, each stored as one compact column.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use tch::Tensor;

use super::domains::DomainColumn;
use super::features::FeatureColumn;
use super::further_texts::FurtherText;
use super::{FieldBatch, TokenKind};
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::graph::{NewsColumn, TreeColumn};
use crate::image::{ImageColumn, RecordImage};
use crate::text::{EncodedColumn, NGramColumn, NGramEncoder, Padding, SubwordColumn, WordColumn};
use crate::{Dataset, Error, Result};

/// Samples with named fields: texts, images, propagation trees, domains, features. Batches have the same fields.
///
/// Texts take 4 bytes per token, in memory or, beyond the limit of [`TokenStorage`](crate::text::TokenStorage), in a file; the
/// original texts are not stored. Clones and [`subset`](Self::subset)s share all columns.
///
/// ```
/// use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
/// use faknow_data::{Dataset, FieldDataset, Record};
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// let training = [Record::new("Moon made of cheese").with_label(1), Record::new("Rain on the moon").with_label(0)];
/// let (training, vocab) = FieldDataset::build(training.map(Ok), &tokenizer, &VocabOptions::default())?;
/// let test = [Ok(Record::new("Cheese rain").with_label(1))];
/// let test = FieldDataset::from_records(test, &tokenizer, &vocab, training.domains())?;
/// assert_eq!(*test.tokens(0)?, [vocab.id("cheese"), vocab.id("rain")]);
/// assert_eq!(training.batch(&[1, 0])?.words()?.ids.size(), [2, 4]);
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FieldDataset {
    pub(super) columns: Columns,
    /// The rows of the columns that are its samples, in order; all rows if `None`.
    pub(super) rows: Option<Arc<[u32]>>,
    pub(super) padding: Padding,
}

/// The columns of a dataset, all of which have one row per sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) n_rows: usize,
    /// Class index of each sample; empty if they are not labeled.
    pub(super) labels: Arc<Vec<u32>>,
    /// Id of each sample; empty if they have no ids.
    pub(super) ids: Arc<Vec<String>>,
    pub(super) words: Option<Arc<WordColumn>>,
    pub(super) subwords: Option<Arc<SubwordColumn>>,
    /// The output of an encoder for the subwords, which batches have instead of them.
    pub(super) encoded: Option<Arc<EncodedColumn>>,
    /// Weighted n-grams of the words, which batches have instead of them.
    pub(super) ngrams: Option<Arc<NGramColumn>>,
    /// Where the images are, from which `images` are read.
    pub(super) image_sources: Option<Arc<Vec<Option<RecordImage>>>>,
    pub(super) images: Option<Arc<ImageColumn>>,
    /// The output of an encoder for the distinct images, which batches have instead of them.
    pub(super) encoded_images: Option<Arc<EncodedColumn>>,
    /// Whether batches have the pixels of encoded images, too.
    pub(super) has_pixels: bool,
    pub(super) trees: Option<Arc<TreeColumn>>,
    pub(super) news: Option<Arc<NewsColumn>>,
    pub(super) domains: Option<Arc<DomainColumn>>,
    pub(super) texts: BTreeMap<String, FurtherText>,
    pub(super) features: BTreeMap<String, Arc<FeatureColumn>>,
}

impl Columns {
    /// Returns the present fields with their names.
    fn fields(&self) -> impl Iterator<Item = (&str, &dyn Column)> {
        fn field<'a>(
            name: &'a str,
            column: &'a Option<Arc<impl Column + 'a>>,
        ) -> Option<(&'a str, &'a dyn Column)> {
            column.as_ref().map(|column| (name, &**column as &dyn Column))
        }
        let fields = [
            field("words", &self.words),
            field("subwords", &self.subwords),
            field("ngrams", &self.ngrams),
            field("images", &self.images),
            field("trees", &self.trees),
            field("news", &self.news),
            field("domains", &self.domains),
        ];
        let features = self.features.iter().map(|(name, column)| (name.as_str(), &**column as &dyn Column));
        let texts = self.texts.iter().map(|(name, text)| (name.as_str(), text.column()));
        fields.into_iter().flatten().chain(texts).chain(features)
    }
}

impl FieldDataset {
    pub(super) fn new(columns: Columns) -> Self {
        debug_assert!(columns.fields().all(|(_, column)| column.n_rows() == columns.n_rows));
        Self { columns, rows: None, padding: Padding { extra: 0, min_length: 1 } }
    }

    /// Sets the minimum number of padding columns after the longest text of a batch; default 0.
    ///
    /// With `n` columns of padding, a model with windows of `n` tokens and max pooling computes the same result for any longer
    /// padding, so that it does not depend on the other texts of the batch.
    #[must_use]
    pub fn with_extra_padding(mut self, n: usize) -> Self {
        self.padding.extra = n;
        self
    }

    /// Sets the minimum number of columns of a batch of texts, extra padding included; default 1.
    #[must_use]
    pub fn with_min_length(mut self, n: usize) -> Self {
        self.padding.min_length = n;
        self
    }

    /// Adds a named feature: floats `[n_samples, d]` or `[n_samples, len, d]`, stored as f32.
    ///
    /// # Errors
    /// The tensor has the wrong shape or kind, or its number of rows differs from the number of samples; the dataset already
    /// has a field of this name, or is a [`subset`](Self::subset).
    ///
    /// ```
    /// use faknow_data::graph::{SparseRows, Tree};
    /// use faknow_data::{Dataset, FieldDataset};
    /// use tch::Tensor;
    ///
    /// let trees = ["a", "b"].map(|id| Tree::new(id, vec![None], SparseRows::empty(1, 10)));
    /// let data = FieldDataset::from_trees(trees.into_iter().collect::<Result<_, _>>()?)?;
    /// let data = data.with_feature("followers", &Tensor::from_slice2(&[[120.0], [7.0]]))?;
    /// assert_eq!(data.batch(&[1])?.feature("followers")?.double_value(&[0, 0]), 7.0);
    /// # Ok::<(), faknow_data::Error>(())
    /// ```
    pub fn with_feature(mut self, name: impl Into<String>, values: &Tensor) -> Result<Self> {
        let (name, column) = (name.into(), FeatureColumn::new(values)?);
        let error = |message: String| Err(Error::Dataset(format!("feature `{name}`: {message}")));
        if self.rows.is_some() {
            return error(
                "expected a complete dataset, got a subset: add features before taking subsets".to_owned(),
            );
        }
        if column.n_rows() != self.columns.n_rows {
            let (n, got) = (self.columns.n_rows, column.n_rows());
            return error(format!("expected {n} rows, one per sample, got {got}"));
        }
        if self.columns.fields().any(|(field, _)| field == name) {
            return error("the dataset already has a field of this name".to_owned());
        }
        self.columns.features.insert(name, Arc::new(column));
        Ok(self)
    }

    /// Adds the weighted n-grams of the texts, which batches then have instead of the words.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the dataset has no texts; [`Error::Io`]: tokens stored in a file cannot be read.
    pub fn with_ngrams(mut self, encoder: &NGramEncoder) -> Result<Self> {
        let Some(words) = &self.columns.words else {
            return Err(Error::Dataset("n-grams: expected a dataset of texts".to_owned()));
        };
        self.columns.ngrams = Some(Arc::new(NGramColumn::encode(words, encoder)?));
        Ok(self)
    }

    /// Returns the samples at `indices`, in that order; all columns are shared, not copied.
    ///
    /// # Errors
    /// [`Error::Dataset`]: an index is out of range.
    pub fn subset(&self, indices: &[usize]) -> Result<Self> {
        let rows = indices
            .iter()
            .map(|&index| self.checked_row(index).map(|row| row as u32))
            .collect::<Result<_>>()?;
        Ok(Self { rows: Some(rows), ..self.clone() })
    }

    /// Returns the id of a sample, if it has one.
    pub fn id(&self, index: usize) -> Option<&str> {
        self.columns.ids.get(self.row(index)?).map(String::as_str)
    }

    /// Returns whether the samples have texts.
    pub fn has_words(&self) -> bool {
        self.columns.words.is_some()
    }

    /// Returns whether the samples have texts as subwords.
    pub fn has_subwords(&self) -> bool {
        self.columns.subwords.is_some()
    }

    /// Returns whether the samples have propagation trees.
    pub fn has_trees(&self) -> bool {
        self.columns.trees.is_some()
    }

    /// Returns the token ids of a text, of subwords with the special tokens; empty for a text without tokens, a dataset without texts, or an index that is out of
    /// range.
    ///
    /// # Errors
    /// [`Error::Io`]: tokens stored in a file cannot be read.
    pub fn tokens(&self, index: usize) -> Result<Cow<'_, [u32]>> {
        match (self.row(index), &self.columns.words, &self.columns.subwords) {
            (Some(row), Some(words), _) => words.row(row),
            (Some(row), None, Some(subwords)) => subwords.row(row),
            _ => Ok(Cow::Borrowed(&[])),
        }
    }

    /// Returns a hash of the input of a sample: its tree, its image and its tokens, except for those that `kind_of` ignores, without label, id,
    /// domain and features; `None` if it has none of these, or the index is out of range. Equal inputs have equal hashes on every machine.
    ///
    /// # Errors
    /// [`Error::Io`]: tokens stored in a file cannot be read.
    pub fn input_hash(&self, index: usize, mut kind_of: impl FnMut(u32) -> TokenKind) -> Result<Option<u64>> {
        let Some(row) = self.row(index) else { return Ok(None) };
        let (tokens, tree) = (self.tokens(index)?, self.columns.trees.as_ref().map(|trees| trees.hash(row)));
        let tokens =
            tokens.iter().filter(|&&token| kind_of(token) != TokenKind::Ignored).map(|&token| token.into());
        let image = self.columns.images.as_ref().and_then(|images| images.hash(row));
        let mut parts = tokens.chain(tree).chain(image.into_iter().flatten()).peekable();
        if parts.peek().is_none() {
            return Ok(None);
        }
        let mut fingerprint = Fingerprint::new();
        parts.for_each(|part| fingerprint.add(part));
        Ok(Some(fingerprint.finish()))
    }

    /// Returns the total number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.total_size(self.columns.words.as_deref()) + self.total_size(self.columns.subwords.as_deref())
    }

    /// Returns the number of tokens that are not in the vocabulary.
    ///
    /// # Errors
    /// [`Error::Io`]: tokens stored in a file cannot be read.
    pub fn n_unknown(&self) -> Result<usize> {
        let rows = self.rows.as_deref();
        match (&self.columns.words, &self.columns.subwords) {
            (Some(words), _) => words.n_unknown(rows),
            (None, Some(subwords)) => subwords.n_unknown(rows),
            (None, None) => Ok(0),
        }
    }

    /// Returns whether the tokens are stored in a file rather than in memory.
    pub fn is_on_disk(&self) -> bool {
        let words = self.columns.words.as_ref().map(|words| words.tokens());
        let subwords = self.columns.subwords.as_ref().map(|subwords| subwords.tokens());
        words.into_iter().chain(subwords).any(|column| column.tokens().is_on_disk())
    }

    /// Returns the total number of nodes.
    pub fn n_nodes(&self) -> usize {
        self.total_size(self.columns.trees.as_deref())
    }

    /// Returns the number of features per node.
    pub fn n_node_features(&self) -> usize {
        self.columns.trees.as_ref().map_or(0, |trees| trees.n_features())
    }

    /// Returns whether the samples are labeled (either all or none are).
    pub fn is_labeled(&self) -> bool {
        !self.columns.labels.is_empty()
    }

    /// Checks that a model can be trained to predict these classes, given in the order of their indices.
    ///
    /// # Errors
    /// [`Error::Dataset`]: there are no samples or no labels, a class has no samples, or a sample has a class without a name.
    pub fn check_classes(&self, names: &[String]) -> Result<()> {
        let counts = self.class_counts();
        let error = |message: String| Err(Error::Dataset(message));
        if self.n_samples() == 0 {
            return error("the dataset is empty".to_owned());
        }
        if counts.is_empty() {
            return error(format!("expected labels ({}), got unlabeled records", names.join(", ")));
        }
        if counts.len() > names.len() {
            let (largest, n) = (counts.len() - 1, names.len());
            return error(format!("expected class indices below {n} ({}), got {largest}", names.join(", ")));
        }
        let missing =
            names.iter().enumerate().filter(|(class, _)| counts.get(*class).is_none_or(|&n| n == 0));
        let missing: Vec<&str> = missing.map(|(_, name)| name.as_str()).collect();
        match missing.as_slice() {
            [] => Ok(()),
            [class] => error(format!("no record of class `{class}` among {} records", self.n_samples())),
            classes => error(format!(
                "no records of classes `{}` among {} records",
                classes.join("`, `"),
                self.n_samples()
            )),
        }
    }

    fn total_size(&self, column: Option<&impl Column>) -> usize {
        let rows = (0..self.n_samples()).filter_map(|index| self.row(index));
        column.map_or(0, |column| rows.map(|row| column.size(row)).sum())
    }

    /// Returns the row of the sample at `index`.
    pub(super) fn row(&self, index: usize) -> Option<usize> {
        match &self.rows {
            Some(rows) => rows.get(index).map(|&row| row as usize),
            None => (index < self.columns.n_rows).then_some(index),
        }
    }

    fn checked_row(&self, index: usize) -> Result<usize> {
        self.row(index).ok_or_else(|| {
            let n = self.n_samples();
            Error::Dataset(format!("expected an index below {n}, the number of samples, got {index}"))
        })
    }
}

impl Dataset for FieldDataset {
    type Batch = FieldBatch;

    fn n_samples(&self) -> usize {
        self.rows.as_ref().map_or(self.columns.n_rows, |rows| rows.len())
    }

    fn batch(&self, indices: &[usize]) -> Result<FieldBatch> {
        let columns = &self.columns;
        let rows: Vec<usize> = indices.iter().map(|&index| self.checked_row(index)).collect::<Result<_>>()?;
        let label = |&row: &usize| i64::from(columns.labels[row]);
        let labels = self.is_labeled().then(|| rows.iter().map(label).collect::<Vec<_>>());
        let features =
            columns.features.iter().map(|(name, column)| Ok((name.clone(), column.collate(&rows)?)));
        let texts =
            columns.texts.iter().map(|(name, text)| Ok((name.clone(), text.collate(&rows, self.padding)?)));
        let words = columns.words.as_ref().filter(|_| columns.ngrams.is_none());
        let subwords = columns.subwords.as_ref().filter(|_| columns.encoded.is_none());
        let has_pixels = columns.has_pixels || columns.encoded_images.is_none();
        let images = columns.images.as_ref().filter(|_| has_pixels);
        Ok(FieldBatch {
            labels: labels.map(|labels| Tensor::f_from_slice(&labels)).transpose()?,
            words: words.map(|words| words.collate(&rows, self.padding)).transpose()?,
            subwords: subwords.map(|subwords| subwords.collate(&rows)).transpose()?,
            encoded: columns.encoded.as_ref().map(|encoded| encoded.collate(&rows)).transpose()?,
            ngrams: columns.ngrams.as_ref().map(|ngrams| ngrams.collate(&rows)).transpose()?,
            images: images.map(|images| images.collate(&rows)).transpose()?,
            encoded_images: self.encoded_images(&rows)?,
            trees: columns.trees.as_ref().map(|trees| trees.collate(&rows)).transpose()?,
            news: columns.news.as_ref().map(|news| news.collate(&rows)),
            domains: columns.domains.as_ref().map(|domains| domains.collate(&rows)).transpose()?,
            texts: texts.collect::<Result<_>>()?,
            features: features.collect::<Result<_>>()?,
            indices: indices.to_vec(),
        })
    }

    /// Returns the number of tokens plus nodes of a sample; 1 if the dataset has neither. Images do not count: all have one size.
    fn length(&self, index: usize) -> usize {
        let is_sized = self.has_words() || self.has_subwords() || self.has_trees();
        let size = |row: usize| self.columns.fields().map(|(_, column)| column.size(row)).sum();
        self.row(index).map_or(0, |row| if is_sized { size(row) } else { 1 })
    }

    /// Returns a hash of the contents and order of all columns, identical on every machine.
    fn fingerprint(&self) -> Option<u64> {
        let mut fingerprint = Fingerprint::new();
        for (name, column) in self.columns.fields() {
            fingerprint.add_str(name);
            column.add_to(&mut fingerprint);
        }
        self.columns.labels.iter().for_each(|&label| fingerprint.add(u64::from(label)));
        self.columns.ids.iter().for_each(|id| fingerprint.add_str(id));
        // A subset of all samples in their order is the same dataset.
        let n_rows = self.columns.n_rows;
        let is_proper_subset =
            |rows: &&Arc<[u32]>| rows.len() != n_rows || !rows.iter().zip(0..).all(|(&row, i)| row == i);
        if let Some(rows) = self.rows.as_ref().filter(is_proper_subset) {
            rows.iter().for_each(|&row| fingerprint.add(u64::from(row)));
        }
        Some(fingerprint.finish())
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.columns.labels.get(self.row(index)?).map(|&label| label as usize)
    }
}
