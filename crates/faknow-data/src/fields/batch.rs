//! A batch of named fields, which every model of the workspace reads.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use crate::graph::{NodeFeatures, Trees};
use crate::text::Words;
use crate::{Batch, Error, Result};

/// Samples as named fields, each with one row per sample; a field that the data set does not have is `None`.
///
/// A model asks for what it reads by [`words`](Self::words), [`trees`](Self::trees) and so on, whose errors name what is missing.
#[derive(Debug, Default)]
pub struct FieldBatch {
    /// Position of each sample in the data set it came from.
    pub indices: Vec<usize>,
    /// Class numbers, i64 `[n]`, if the samples are labeled.
    pub labels: Option<Tensor>,
    /// Texts as token ids.
    pub words: Option<Words>,
    /// Propagation trees as one graph.
    pub trees: Option<Trees>,
    /// Domain numbers (topics, events, platforms), i64 `[n]`; -1 where a sample has none, or one that training did not know.
    pub domains: Option<Tensor>,
    /// Named features, `[n, d]` or `[n, len, d]`.
    pub features: BTreeMap<String, Tensor>,
}

impl FieldBatch {
    /// Creates a batch of `n` samples without any field, to which fields can be added by hand. Indices are `0..n`.
    pub fn new(n: usize) -> Self {
        Self { indices: (0..n).collect(), ..Self::default() }
    }

    /// Creates a batch of texts from their token ids, i64 `[n, len]`, and perhaps their class numbers, i64 `[n]`.
    ///
    /// Lengths are counted up to the last token that is not padding; indices are `0..n`.
    ///
    /// # Errors
    /// A tensor has another shape or kind.
    ///
    /// ```
    /// use faknow_data::FieldBatch;
    /// use tch::Tensor;
    ///
    /// let ids = Tensor::from_slice2(&[[5_i64, 2, 0], [7, 3, 4]]);
    /// let batch = FieldBatch::from_words(ids, Some(Tensor::from_slice(&[0_i64, 1])))?;
    /// assert_eq!(Vec::<i64>::try_from(&batch.words()?.lengths)?, [2, 3]);
    /// assert!(batch.trees().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_words(ids: Tensor, labels: Option<Tensor>) -> Result<Self> {
        let words = Words::new(ids)?;
        let batch = Self::new(words.n_texts()).labeled(labels)?;
        Ok(Self { words: Some(words), ..batch })
    }

    /// Creates a batch of trees from tensors as PyTorch Geometric has them: `tree_ids` `[n_nodes]` is its `batch`. Indices
    /// are `0..n_trees`.
    ///
    /// # Errors
    /// A tensor has another shape or kind, or the numbers of trees or nodes are not those of this batch.
    pub fn from_trees(
        features: NodeFeatures,
        edges: Tensor,
        tree_ids: Tensor,
        roots: Tensor,
        labels: Option<Tensor>,
    ) -> Result<Self> {
        let trees = Trees::new(features, edges, tree_ids, roots)?;
        let batch = Self::new(trees.n_trees() as usize).labeled(labels)?;
        Ok(Self { trees: Some(trees), ..batch })
    }

    fn labeled(self, labels: Option<Tensor>) -> Result<Self> {
        let n = self.indices.len();
        match labels {
            Some(labels) if labels.size() != [n as i64] || labels.kind() != Kind::Int64 => {
                Err(Error::tensor("labels", &format!("i64 [{n}]"), &labels))
            }
            labels => Ok(Self { labels, ..self }),
        }
    }

    /// Returns the texts as token ids.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has none.
    pub fn words(&self) -> Result<&Words> {
        self.words.as_ref().ok_or_else(|| {
            self.missing(
                "words",
                "`FieldDataset::build`, `FieldDataset::from_records` or `FieldBatch::from_words`",
            )
        })
    }

    /// Returns the propagation trees.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has none.
    pub fn trees(&self) -> Result<&Trees> {
        self.trees
            .as_ref()
            .ok_or_else(|| self.missing("trees", "`FieldDataset::from_trees` or `FieldBatch::from_trees`"))
    }

    /// Returns the domain numbers, i64 `[n]`.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has none.
    pub fn domains(&self) -> Result<&Tensor> {
        self.domains
            .as_ref()
            .ok_or_else(|| self.missing("domains", "a domain column of the records (`ColumnMap::domain`)"))
    }

    /// Returns the named feature, `[n, d]` or `[n, len, d]`.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has none of that name.
    pub fn feature(&self, name: &str) -> Result<&Tensor> {
        self.features.get(name).ok_or_else(|| self.missing(name, "`FieldDataset::with_feature`"))
    }

    fn missing(&self, field: &str, provider: &'static str) -> Error {
        let fields = [
            ("words", self.words.is_some()),
            ("trees", self.trees.is_some()),
            ("domains", self.domains.is_some()),
        ];
        let present =
            fields.into_iter().filter(|(_, is_present)| *is_present).map(|(name, _)| name.to_owned());
        Error::MissingField {
            field: field.to_owned(),
            provider,
            present: present.chain(self.features.keys().cloned()).collect(),
        }
    }
}

impl Batch for FieldBatch {
    fn n_samples(&self) -> usize {
        self.indices.len()
    }

    fn labels(&self) -> Option<&Tensor> {
        self.labels.as_ref()
    }

    fn to_device(&self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.to_device(device);
        Self {
            indices: self.indices.clone(),
            labels: self.labels.as_ref().map(moved),
            words: self.words.as_ref().map(|words| words.to_device(device)),
            trees: self.trees.as_ref().map(|trees| trees.to_device(device)),
            domains: self.domains.as_ref().map(moved),
            features: self.features.iter().map(|(name, feature)| (name.clone(), moved(feature))).collect(),
        }
    }
}
