//! A data set of named fields, each stored as one compact column.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use tch::Tensor;

use super::FieldBatch;
use super::domains::DomainColumn;
use super::features::FeatureColumn;
use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::graph::TreeColumn;
use crate::text::{Padding, WordColumn};
use crate::{Dataset, Error, Result};

/// Samples with named fields: texts, propagation trees, domains, features. Its batches have the fields that are there.
///
/// Texts take 4 bytes per token, in memory or, beyond the limit of their [`TokenStorage`](crate::text::TokenStorage), in a file;
/// the texts themselves are not retained. A clone or a [`subset`](Self::subset) shares all columns.
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
    /// Which of the rows this data set has, in which order; all of them if `None`.
    rows: Option<Arc<[u32]>>,
    padding: Padding,
}

/// The columns of a data set, all of which have one row per sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) n_rows: usize,
    /// Class of each sample; empty if they are not labeled.
    pub(super) labels: Arc<Vec<u32>>,
    /// Name of each sample; empty if they have none.
    pub(super) ids: Arc<Vec<String>>,
    pub(super) words: Option<Arc<WordColumn>>,
    pub(super) trees: Option<Arc<TreeColumn>>,
    pub(super) domains: Option<Arc<DomainColumn>>,
    pub(super) features: BTreeMap<String, Arc<FeatureColumn>>,
}

impl Columns {
    /// Returns all fields that are there, by their names.
    fn fields(&self) -> impl Iterator<Item = (&str, &dyn Column)> {
        fn field<'a>(
            name: &'a str,
            column: &'a Option<Arc<impl Column + 'a>>,
        ) -> Option<(&'a str, &'a dyn Column)> {
            column.as_ref().map(|column| (name, &**column as &dyn Column))
        }
        let fields =
            [field("words", &self.words), field("trees", &self.trees), field("domains", &self.domains)];
        let features = self.features.iter().map(|(name, column)| (name.as_str(), &**column as &dyn Column));
        fields.into_iter().flatten().chain(features)
    }
}

impl FieldDataset {
    pub(super) fn new(columns: Columns) -> Self {
        debug_assert!(columns.fields().all(|(_, column)| column.n_rows() == columns.n_rows));
        Self { columns, rows: None, padding: Padding { extra: 0, min_length: 1 } }
    }

    /// Pads each text of a batch by at least `n` columns beyond the longest; default 0.
    ///
    /// A model that looks at `n` neighboring tokens and takes a maximum sees then what it would see with any longer
    /// padding, so that its result does not depend on the other texts of the batch.
    #[must_use]
    pub fn with_extra_padding(mut self, n: usize) -> Self {
        self.padding.extra = n;
        self
    }

    /// Pads the texts of a batch to at least `n` columns, extra padding included; default 1.
    #[must_use]
    pub fn with_min_length(mut self, n: usize) -> Self {
        self.padding.min_length = n;
        self
    }

    /// Adds a named feature: floats `[n_samples, d]` or `[n_samples, len, d]`, stored as f32.
    ///
    /// # Errors
    /// The tensor has another shape or kind, or another number of rows than the data set has samples; the name is taken; the
    /// data set is a [`subset`](Self::subset).
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
                "expected the whole data set, got a subset: add features before taking subsets".to_owned(),
            );
        }
        if column.n_rows() != self.columns.n_rows {
            let (n, got) = (self.columns.n_rows, column.n_rows());
            return error(format!("expected {n} rows, one per sample, got {got}"));
        }
        if self.columns.fields().any(|(field, _)| field == name) {
            return error("the data set has a field of this name already".to_owned());
        }
        self.columns.features.insert(name, Arc::new(column));
        Ok(self)
    }

    /// Returns the samples at `indices`, in that order; all columns are shared, not copied.
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

    /// Returns the name of a sample, if it has one.
    pub fn id(&self, index: usize) -> Option<&str> {
        self.columns.ids.get(self.row(index)?).map(String::as_str)
    }

    /// Returns whether the samples have texts.
    pub fn has_words(&self) -> bool {
        self.columns.words.is_some()
    }

    /// Returns whether the samples have propagation trees.
    pub fn has_trees(&self) -> bool {
        self.columns.trees.is_some()
    }

    /// Returns the token ids of a text; empty for a text without tokens, a data set without texts, or an index that is not
    /// below `n_samples`.
    ///
    /// # Errors
    /// The file that they lie in cannot be read.
    pub fn tokens(&self, index: usize) -> Result<Cow<'_, [u32]>> {
        let row = self.columns.words.as_ref().zip(self.row(index));
        row.map_or(Ok(Cow::Borrowed(&[])), |(words, row)| words.row(row))
    }

    /// Returns the number of tokens of all texts.
    pub fn n_tokens(&self) -> usize {
        self.total_size(self.columns.words.as_deref())
    }

    /// Returns the number of tokens that are not in the vocabulary.
    ///
    /// # Errors
    /// The file that the tokens lie in cannot be read.
    pub fn n_unknown(&self) -> Result<usize> {
        self.columns.words.as_ref().map_or(Ok(0), |words| words.n_unknown(self.rows.as_deref()))
    }

    /// Returns whether the tokens lie in a file rather than in memory.
    pub fn is_on_disk(&self) -> bool {
        self.columns.words.as_ref().is_some_and(|words| words.tokens().is_on_disk())
    }

    /// Returns the number of nodes of all trees.
    pub fn n_nodes(&self) -> usize {
        self.total_size(self.columns.trees.as_deref())
    }

    /// Returns the number of features of a node of a tree.
    pub fn n_node_features(&self) -> usize {
        self.columns.trees.as_ref().map_or(0, |trees| trees.n_features())
    }

    /// Returns the names of the domains by their number: integers by their value, then other names in alphabetic order. Empty
    /// if no sample has a domain.
    pub fn domains(&self) -> &[String] {
        self.columns.domains.as_ref().map_or(&[], |domains| &domains.names)
    }

    /// Returns the number of the domain of a sample, if it has one that training knows.
    pub fn domain(&self, index: usize) -> Option<usize> {
        let domains = self.columns.domains.as_ref()?;
        domains.numbers[self.row(index)?].map(|domain| domain as usize)
    }

    /// Returns whether the samples are labeled: all are, or none.
    pub fn is_labeled(&self) -> bool {
        !self.columns.labels.is_empty()
    }

    /// Checks that a model can learn the classes of these names, in the order of their numbers, from these samples.
    ///
    /// # Errors
    /// If there is no sample or no label, a class has no sample, or a sample has a class without a name.
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

    fn total_size(&self, column: Option<&impl Column>) -> usize {
        let rows = (0..self.n_samples()).filter_map(|index| self.row(index));
        column.map_or(0, |column| rows.map(|row| column.size(row)).sum())
    }

    /// Returns the row of the sample at `index`.
    fn row(&self, index: usize) -> Option<usize> {
        match &self.rows {
            Some(rows) => rows.get(index).map(|&row| row as usize),
            None => (index < self.columns.n_rows).then_some(index),
        }
    }

    fn checked_row(&self, index: usize) -> Result<usize> {
        self.row(index).ok_or_else(|| {
            let n = self.n_samples();
            Error::Dataset(format!("index {index} is out of range: the data set has {n} samples"))
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
        Ok(FieldBatch {
            labels: labels.map(|labels| Tensor::f_from_slice(&labels)).transpose()?,
            words: columns.words.as_ref().map(|words| words.collate(&rows, self.padding)).transpose()?,
            trees: columns.trees.as_ref().map(|trees| trees.collate(&rows)).transpose()?,
            domains: columns.domains.as_ref().map(|domains| domains.collate(&rows)).transpose()?,
            features: features.collect::<Result<_>>()?,
            indices: indices.to_vec(),
        })
    }

    /// Tokens and nodes of a sample together; 1 if the data set has neither.
    fn length(&self, index: usize) -> usize {
        let is_sized = self.has_words() || self.has_trees();
        let size = |row: usize| self.columns.fields().map(|(_, column)| column.size(row)).sum();
        self.row(index).map_or(0, |row| if is_sized { size(row) } else { 1 })
    }

    /// A number that is another for other contents of any column, or another order, the same on every machine.
    fn fingerprint(&self) -> Option<u64> {
        let mut fingerprint = Fingerprint::new();
        for (name, column) in self.columns.fields() {
            fingerprint.add_str(name);
            column.add_to(&mut fingerprint);
        }
        self.columns.labels.iter().for_each(|&label| fingerprint.add(u64::from(label)));
        self.columns.ids.iter().for_each(|id| fingerprint.add_str(id));
        // All samples in their order are the same data set as a subset and as a whole.
        let all = self.columns.n_rows;
        let others =
            |rows: &&Arc<[u32]>| rows.len() != all || !rows.iter().zip(0..).all(|(&row, i)| row == i);
        if let Some(rows) = self.rows.as_ref().filter(others) {
            rows.iter().for_each(|&row| fingerprint.add(u64::from(row)));
        }
        Some(fingerprint.finish())
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.columns.labels.get(self.row(index)?).map(|&label| label as usize)
    }
}
