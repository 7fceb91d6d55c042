//! Everything that the pipeline knows about a model.

use std::fmt::Debug;

use faknow_data::FieldBatch;
use faknow_model::{Model, Result};
use faknow_trainer::TrainStep;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;
use tch::nn::Path;

use crate::models::{Fields, TrainingDefaults};

/// A model of the pipeline.
pub type BoxedModel = Box<dyn Model<Batch = FieldBatch>>;

/// A training step of a model of the pipeline.
pub type BoxedStep = Box<dyn TrainStep<BoxedModel>>;

/// Everything that the pipeline, the program and the server know about a model. A type that implements it is registered by
/// [`Registry::register`](crate::models::Registry::register).
pub trait ModelSpec: 'static {
    /// Name in configs and on the command line: lowercase letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// Description in one line.
    const TITLE: &'static str;
    /// Paper or other source.
    const PAPER: &'static str;

    /// The hyperparameters, `model.KEY` in a config. Unknown keys are refused if it derives `Deserialize` with
    /// `#[serde(default, deny_unknown_fields)]`.
    type Config: Clone + Debug + Default + Serialize + DeserializeOwned + 'static;

    /// Range and meaning of each hyperparameter, for the reference of settings. Default: none are described.
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[];

    /// Returns the fields that the model reads, with their settings.
    fn fields(config: &Self::Config) -> Fields;

    /// Builds the model in `path`. Hyperparameters outside their range are errors: a config is validated by building the
    /// smallest model that it allows.
    ///
    /// # Errors
    /// A hyperparameter is outside its range.
    fn build(path: &Path<'_>, config: &Self::Config, shape: &Shape<'_>) -> Result<BoxedModel>;

    /// Returns the settings of the training where a config does not name them. Default: those of every config.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults::default()
    }

    /// Adapts the config to pretrained word vectors of this size; [`build`](Self::build) finds them in its shape. Returns whether
    /// the model can use pretrained word vectors. Default: it cannot.
    fn use_word_vectors(config: &mut Self::Config, size: i64) -> bool {
        let _ = (config, size);
        false
    }

    /// Returns the model's own training step. Default: `None`, the loss of the model or of the config is minimized.
    fn step(config: &Self::Config) -> Option<BoxedStep> {
        let _ = config;
        None
    }

    /// Returns the stage that trains part of the model without labels before the training. Default: none.
    ///
    /// # Errors
    /// A hyperparameter is outside its range.
    fn pretraining(path: &Path<'_>, config: &Self::Config, shape: &Shape<'_>) -> Result<Option<Pretraining>> {
        let _ = (path, config, shape);
        Ok(None)
    }
}

/// The description of a hyperparameter; its default is that of [`ModelSpec::Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hyperparameter {
    /// Key below `model`.
    pub name: &'static str,
    /// The values that are accepted, with their unit.
    pub range: &'static str,
    /// What the hyperparameter does.
    pub meaning: &'static str,
}

impl Hyperparameter {
    /// Creates a description.
    pub const fn new(name: &'static str, range: &'static str, meaning: &'static str) -> Self {
        Self { name, range, meaning }
    }
}

/// What the size of a model depends on besides its config.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Shape<'a> {
    /// Words of the vocabulary, padding and the unknown word included; 0 without a vocabulary.
    pub vocab_size: usize,
    /// Features of a node; 0 for models that read no trees.
    pub n_node_features: usize,
    /// Number of classes, at least 2.
    pub n_classes: usize,
    /// Pretrained word vectors `[vocab_size, size]`, if there are any.
    pub word_vectors: Option<&'a Tensor>,
}

/// A stage before the training in which part of a model learns without labels.
pub struct Pretraining {
    /// The model of this stage, whose loss needs no labels.
    pub model: BoxedModel,
    /// Epochs of this stage, at least 1.
    pub epochs: usize,
    /// Prefix of the names of its weights in the model of the training.
    pub prefix: &'static str,
}
