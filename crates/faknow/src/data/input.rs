//! What a model reads, whichever it is: batches and data sets of texts or of propagation trees.

use faknow_data::graph::{NodeFeatures, TreeBatch, TreeDataset};
use faknow_data::{Batch, Dataset, TextBatch, TextDataset};
use faknow_model::{Error, Mode, Model, OfWords, Output};
use tch::{Device, Tensor};

/// A batch of texts or of propagation trees.
#[derive(Debug)]
pub enum InputBatch {
    /// Texts.
    Texts(TextBatch),
    /// Propagation trees.
    Trees(TreeBatch),
}

impl InputBatch {
    /// Position of each sample in the data set it came from.
    pub fn indices(&self) -> &[usize] {
        match self {
            Self::Texts(batch) => &batch.indices,
            Self::Trees(batch) => &batch.indices,
        }
    }

    /// The features of the nodes, if these are trees.
    pub fn node_features(&self) -> Option<&NodeFeatures> {
        match self {
            Self::Texts(_) => None,
            Self::Trees(batch) => Some(&batch.features),
        }
    }
}

impl Batch for InputBatch {
    fn n_samples(&self) -> usize {
        self.indices().len()
    }

    fn labels(&self) -> Option<&Tensor> {
        match self {
            Self::Texts(batch) => batch.labels(),
            Self::Trees(batch) => batch.labels(),
        }
    }

    fn to_device(&self, device: Device) -> Self {
        match self {
            Self::Texts(batch) => Self::Texts(batch.to_device(device)),
            Self::Trees(batch) => Self::Trees(batch.to_device(device)),
        }
    }
}

/// A data set of texts or of propagation trees.
#[derive(Debug, Clone)]
pub(crate) enum InputDataset {
    Texts(TextDataset),
    Trees(TreeDataset),
}

impl InputDataset {
    /// The samples at `indices`, in that order.
    pub(crate) fn subset(&self, indices: &[usize]) -> faknow_data::Result<Self> {
        match self {
            Self::Texts(data) => data.subset(indices).map(Self::Texts),
            Self::Trees(data) => data.subset(indices).map(Self::Trees),
        }
    }
}

impl Dataset for InputDataset {
    type Batch = InputBatch;

    fn n_samples(&self) -> usize {
        match self {
            Self::Texts(data) => data.n_samples(),
            Self::Trees(data) => data.n_samples(),
        }
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<InputBatch> {
        match self {
            Self::Texts(data) => data.batch(indices).map(InputBatch::Texts),
            Self::Trees(data) => data.batch(indices).map(InputBatch::Trees),
        }
    }

    fn length(&self, index: usize) -> usize {
        match self {
            Self::Texts(data) => data.length(index),
            Self::Trees(data) => data.length(index),
        }
    }

    fn fingerprint(&self) -> Option<u64> {
        match self {
            Self::Texts(data) => Some(data.fingerprint()),
            Self::Trees(data) => data.fingerprint(),
        }
    }

    fn class(&self, index: usize) -> Option<usize> {
        match self {
            Self::Texts(data) => data.class(index),
            Self::Trees(data) => data.class(index),
        }
    }
}

/// A model of a recipe, whichever.
pub type InputModel = Box<dyn Model<Batch = InputBatch>>;

/// A model of texts among all models.
pub(crate) struct OnTexts<M>(pub(crate) M);

/// A model of propagation trees among all models.
pub(crate) struct OnTrees<M>(pub(crate) M);

impl<M: Model<Batch = TextBatch>> Model for OnTexts<M> {
    type Batch = InputBatch;

    fn forward(&self, batch: &InputBatch, mode: Mode) -> faknow_model::Result<Output> {
        match batch {
            InputBatch::Texts(batch) => self.0.forward(batch, mode),
            InputBatch::Trees(_) => Err(other("texts", "trees")),
        }
    }

    fn of_words(&self) -> Option<&dyn OfWords> {
        self.0.of_words()
    }
}

impl<M: Model<Batch = TreeBatch>> Model for OnTrees<M> {
    type Batch = InputBatch;

    fn forward(&self, batch: &InputBatch, mode: Mode) -> faknow_model::Result<Output> {
        match batch {
            InputBatch::Trees(batch) => self.0.forward(batch, mode),
            InputBatch::Texts(_) => Err(other("trees", "texts")),
        }
    }
}

fn other(expected: &str, got: &str) -> Error {
    Error::Batch { model: "this model", expected: expected.to_owned(), got: got.to_owned() }
}
