//! The specification of a model for the pipeline.

use std::fmt::Debug;

use faknow_data::FieldBatch;
use faknow_model::content::TextSource;
use faknow_model::encoder::PretrainedEncoder;
use faknow_model::image::PretrainedImageEncoder;
use faknow_model::{Model, Result};
use faknow_trainer::{OptimizerConfig, TrainStep};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;
use tch::nn::Path;

use crate::models::{Fields, TrainingDefaults};

/// A model of the pipeline.
pub type BoxedModel = Box<dyn Model<Batch = FieldBatch>>;

/// A training step of a model of the pipeline.
pub type BoxedStep = Box<dyn TrainStep<BoxedModel>>;

/// The specification of a model for the pipeline, the command line and the server. Register it with
/// [`Registry::register`](crate::models::Registry::register).
pub trait ModelSpec: 'static {
    /// Name in configs and on the command line: lowercase letters, digits, `-` and `_`.
    const NAME: &'static str;
    /// Description in one line.
    const TITLE: &'static str;
    /// Paper or other source.
    const PAPER: &'static str;

    /// The hyperparameters, `model.KEY` in a config. To reject unknown keys, derive `Deserialize` with
    /// `#[serde(default, deny_unknown_fields)]`.
    type Config: Clone + Debug + Default + Serialize + DeserializeOwned + 'static;

    /// Range and meaning of each hyperparameter, for the reference of settings. Default: none are described.
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[];

    /// Returns the input fields of the model, with their settings.
    fn fields(config: &Self::Config) -> Fields;

    /// Builds the model in `path`. It must check all hyperparameters, since a config is validated by building the smallest
    /// model that it allows.
    ///
    /// # Errors
    /// A hyperparameter is outside its range.
    fn build(path: &Path<'_>, config: &Self::Config, shape: &Shape<'_>) -> Result<BoxedModel>;

    /// Returns the training settings that apply if a config does not set them, for the most common use of a model that also has
    /// [others](Self::training_defaults_for). Default: the general defaults.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults::default()
    }

    /// Returns the training settings that apply if a config with these hyperparameters, with or without an encoder of texts, does
    /// not set them. Default: [`training_defaults`](Self::training_defaults).
    fn training_defaults_for(config: &Self::Config, has_encoder: bool) -> TrainingDefaults {
        let _ = (config, has_encoder);
        Self::training_defaults()
    }

    /// Returns how the layers of the model are trained that differ from the others. Default: none.
    fn layers(config: &Self::Config, shape: &Shape<'_>) -> Vec<LayerTraining> {
        let _ = (config, shape);
        Vec::new()
    }

    /// Adapts the config to pretrained word vectors of this size, which [`build`](Self::build) receives in its shape. Returns
    /// whether the model supports pretrained word vectors. Default: it does not.
    fn use_word_vectors(config: &mut Self::Config, size: i64) -> bool {
        let _ = (config, size);
        false
    }

    /// Returns a custom training step. Default: `None`, which minimizes the loss of the model or of the config.
    fn step(config: &Self::Config) -> Option<BoxedStep> {
        let _ = config;
        None
    }

    /// Returns the optimizer of a part of the model with a separate loss
    /// ([`Model::auxiliary_loss`](faknow_model::Model::auxiliary_loss)). Default: `None`.
    fn auxiliary(config: &Self::Config, shape: &Shape<'_>) -> Option<Auxiliary> {
        let _ = (config, shape);
        None
    }

    /// Returns the share of the training samples, above 0 to 1, that locality-sensitive hashing selects for training
    /// ([`lsh_selection`](faknow_data::lsh_selection)). Default: `None`, all are used.
    fn lsh_share(config: &Self::Config) -> Option<f64> {
        let _ = config;
        None
    }

    /// Returns the self-supervised pretraining of a part of the model. Default: `None`.
    ///
    /// # Errors
    /// A hyperparameter is outside its range.
    fn pretraining(path: &Path<'_>, config: &Self::Config, shape: &Shape<'_>) -> Result<Option<Pretraining>> {
        let _ = (path, config, shape);
        Ok(None)
    }
}

/// How a layer of a model is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTraining {
    /// Pattern of the names of its weights, in which `*` matches any characters.
    pub pattern: String,
    /// Factor of its learning rate to that of the optimizer, above 0.
    pub lr_factor: f64,
    /// Number of epochs for which it is not trained, at least 0.
    pub frozen_epochs: f64,
}

/// The optimizer of a part of a model with a separate loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Auxiliary {
    /// Name of the loss.
    pub name: &'static str,
    /// Pattern of the names of its weights, in which `*` matches any characters.
    pub parameters: &'static str,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
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

/// The properties of the data that determine the size of a model, besides its config.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Shape<'a> {
    /// Size of the vocabulary, including padding and the unknown word; 0 without a vocabulary.
    pub vocab_size: usize,
    /// Number of features per node; 0 for models without tree input.
    pub n_node_features: usize,
    /// Number of classes, at least 2.
    pub n_classes: usize,
    /// Pretrained word vectors `[vocab_size, size]`, if there are any.
    pub word_vectors: Option<&'a Tensor>,
    /// The pretrained encoder, if there is one; texts are then read as its subwords.
    pub encoder: Option<&'a PretrainedEncoder>,
    /// The image encoder, if the data have images.
    pub image_encoder: Option<&'a PretrainedImageEncoder>,
    /// Number of features of the n-grams; 0 for models that do not read them.
    pub n_ngrams: usize,
    /// Number of domains of the training data; 0 without domains.
    pub n_domains: usize,
    /// Number of values of each named feature.
    pub feature_sizes: &'a [(String, usize)],
}

impl<'a> Shape<'a> {
    /// Returns where the token vectors of texts come from: the encoder, pretrained word vectors, or random ones of this size.
    pub fn text_source(&self, embedding_size: i64) -> TextSource<'a> {
        match (self.encoder, self.word_vectors) {
            (Some(encoder), _) => TextSource::Encoder(encoder),
            (None, Some(vectors)) => TextSource::Vectors(vectors),
            (None, None) => TextSource::Random { vocab_size: self.vocab_size, size: embedding_size },
        }
    }

    /// Returns the number of values of a named feature; `None` if the data do not have it.
    pub fn feature_size(&self, name: &str) -> Option<usize> {
        self.feature_sizes.iter().find(|(feature, _)| feature == name).map(|(_, size)| *size)
    }
}

/// The self-supervised pretraining of a part of a model.
pub struct Pretraining {
    /// The model of the pretraining, whose loss does not use labels.
    pub model: BoxedModel,
    /// Number of epochs, at least 1.
    pub epochs: usize,
    /// Prefix of the names of its weights in the trained model.
    pub prefix: &'static str,
}
