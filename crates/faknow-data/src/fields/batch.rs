//! A batch of named fields, which every model of the workspace reads.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use crate::graph::{NewsBatch, NodeFeatures, Trees};
use crate::image::Images;
use crate::text::{Encoded, NGrams, Subwords, TextFields, Words};
use crate::{Batch, Error, Result};

/// What provides subwords, for errors.
const SUBWORDS_PROVIDER: &str = "a subword tokenizer";

/// What provides further texts, for errors.
const TEXT_PROVIDER: &str = "a further text column of the records";

/// Samples as named fields, each with one row per sample; `None` for fields that the dataset does not have.
///
/// Models access required fields by [`words`](Self::words), [`trees`](Self::trees) and so on, whose errors name the missing
/// field.
#[derive(Debug, Default)]
pub struct FieldBatch {
    /// Index of each sample in its dataset.
    pub indices: Vec<usize>,
    /// Class indices, i64 `[n]`; `None` if the samples are not labeled.
    pub labels: Option<Tensor>,
    /// Texts as token ids.
    pub words: Option<Words>,
    /// Texts as subword ids.
    pub subwords: Option<Subwords>,
    /// Texts as the output of an encoder that is not trained.
    pub encoded: Option<Encoded>,
    /// Texts as weighted n-grams.
    pub ngrams: Option<NGrams>,
    /// Further texts of the samples by name, such as `entities`.
    pub texts: BTreeMap<String, TextFields>,
    /// Images as pixels.
    pub images: Option<Images>,
    /// Images as the output of an encoder that is not trained: vectors of their regions, or one per image; none for a missing
    /// image.
    pub encoded_images: Option<Encoded>,
    /// Propagation trees as one graph.
    pub trees: Option<Trees>,
    /// News articles of one graph.
    pub news: Option<NewsBatch>,
    /// Domain indices (topics, events, platforms), i64 `[n]`; -1 for a sample without a domain or with a domain that does not
    /// occur in the training data.
    pub domains: Option<Tensor>,
    /// Named features, `[n, d]` or `[n, len, d]`.
    pub features: BTreeMap<String, Tensor>,
}

impl FieldBatch {
    /// Creates a batch of `n` samples without fields, which can be set afterwards. Indices are `0..n`.
    pub fn new(n: usize) -> Self {
        Self { indices: (0..n).collect(), ..Self::default() }
    }

    /// Creates a batch of texts from token ids, i64 `[n, len]`, and optional class indices, i64 `[n]`.
    ///
    /// The length of a text is the position of its last token that is not padding; indices are `0..n`.
    ///
    /// # Errors
    /// [`Error::Setting`]: a tensor has the wrong shape or kind.
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
        let batch = Self::new(words.n_texts()).with_labels(labels)?;
        Ok(Self { words: Some(words), ..batch })
    }

    /// Creates a batch of trees from tensors in the layout of PyTorch Geometric, whose `batch` is `tree_ids` `[n_nodes]`.
    /// Indices are `0..n_trees`.
    ///
    /// # Errors
    /// [`Error::Setting`]: a tensor has the wrong shape or kind, or contains tree or node indices that are out of range.
    pub fn from_trees(
        features: NodeFeatures,
        edges: Tensor,
        tree_ids: Tensor,
        roots: Tensor,
        labels: Option<Tensor>,
    ) -> Result<Self> {
        let trees = Trees::new(features, edges, tree_ids, roots)?;
        let batch = Self::new(trees.n_trees() as usize).with_labels(labels)?;
        Ok(Self { trees: Some(trees), ..batch })
    }

    fn with_labels(self, labels: Option<Tensor>) -> Result<Self> {
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
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn words(&self) -> Result<&Words> {
        self.words.as_ref().ok_or_else(|| {
            self.missing_field(
                "words",
                "`FieldDataset::build`, `FieldDataset::from_records` or `FieldBatch::from_words`",
            )
        })
    }

    /// Returns the texts as subword ids.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn subwords(&self) -> Result<&Subwords> {
        self.subwords.as_ref().ok_or_else(|| self.missing_field("subwords", SUBWORDS_PROVIDER))
    }

    /// Returns the texts as weighted n-grams.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn ngrams(&self) -> Result<&NGrams> {
        self.ngrams.as_ref().ok_or_else(|| self.missing_field("ngrams", "`FieldDataset::with_ngrams`"))
    }

    /// Returns a further text of the samples, such as `entities`.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no text of this name.
    pub fn text(&self, name: &str) -> Result<&TextFields> {
        self.texts.get(name).ok_or_else(|| self.missing_field(name, TEXT_PROVIDER))
    }

    /// Returns the images as pixels.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn images(&self) -> Result<&Images> {
        self.images.as_ref().ok_or_else(|| {
            self.missing_field("images", "`FieldDataset::load_images` or `FieldDataset::with_images`")
        })
    }

    /// Returns the propagation trees.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn trees(&self) -> Result<&Trees> {
        self.trees.as_ref().ok_or_else(|| {
            self.missing_field("trees", "`FieldDataset::from_trees` or `FieldBatch::from_trees`")
        })
    }

    /// Returns the news articles of one graph.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn news(&self) -> Result<&NewsBatch> {
        self.news.as_ref().ok_or_else(|| self.missing_field("news", "`FieldDataset::from_news`"))
    }

    /// Returns the domain indices, i64 `[n]`; -1 for samples without a known domain.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no such field.
    pub fn domains(&self) -> Result<&Tensor> {
        self.domains.as_ref().ok_or_else(|| {
            self.missing_field("domains", "a domain column of the records (`ColumnMap::domain`)")
        })
    }

    /// Returns the named feature, `[n, d]` or `[n, len, d]`.
    ///
    /// # Errors
    /// [`Error::MissingField`]: the batch has no feature of this name.
    pub fn feature(&self, name: &str) -> Result<&Tensor> {
        self.features.get(name).ok_or_else(|| self.missing_field(name, "`FieldDataset::with_feature`"))
    }

    fn missing_field(&self, field: &str, provider: &'static str) -> Error {
        let fields = [
            ("words", self.words.is_some()),
            ("subwords", self.subwords.is_some()),
            ("encoded", self.encoded.is_some()),
            ("ngrams", self.ngrams.is_some()),
            ("images", self.images.is_some()),
            ("encoded_images", self.encoded_images.is_some()),
            ("trees", self.trees.is_some()),
            ("news", self.news.is_some()),
            ("domains", self.domains.is_some()),
        ];
        let present =
            fields.into_iter().filter(|(_, is_present)| *is_present).map(|(name, _)| name.to_owned());
        Error::MissingField {
            field: field.to_owned(),
            provider,
            present: present.chain(self.texts.keys().cloned()).chain(self.features.keys().cloned()).collect(),
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
        let to_device = |tensor: &Tensor| tensor.to_device(device);
        Self {
            indices: self.indices.clone(),
            labels: self.labels.as_ref().map(to_device),
            words: self.words.as_ref().map(|words| words.to_device(device)),
            subwords: self.subwords.as_ref().map(|subwords| subwords.to_device(device)),
            encoded: self.encoded.as_ref().map(|encoded| encoded.to_device(device)),
            ngrams: self.ngrams.as_ref().map(|ngrams| ngrams.to_device(device)),
            texts: self.texts.iter().map(|(name, text)| (name.clone(), text.to_device(device))).collect(),
            images: self.images.as_ref().map(|images| images.to_device(device)),
            encoded_images: self.encoded_images.as_ref().map(|encoded| encoded.to_device(device)),
            trees: self.trees.as_ref().map(|trees| trees.to_device(device)),
            news: self.news.clone(),
            domains: self.domains.as_ref().map(to_device),
            features: self
                .features
                .iter()
                .map(|(name, feature)| (name.clone(), to_device(feature)))
                .collect(),
        }
    }
}
