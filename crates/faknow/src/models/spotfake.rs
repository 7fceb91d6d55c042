//! The specification of SpotFake.

use faknow_model::encoder::Precision;
use faknow_model::image::ImageOutput;
use faknow_model::{Result, SpotFake, SpotFakeConfig};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::multimodal::{embedding_size, fields};
use super::{
    BoxedModel, EncoderUse, Fields, Hyperparameter, ImageField, ModelSpec, Shape, TrainingDefaults, WordField,
};
use crate::config::{LoaderConfig, TextConfig, TrainerConfig};

pub(super) struct SpotFakeSpec;

impl ModelSpec for SpotFakeSpec {
    const NAME: &'static str = "spotfake";
    const TITLE: &'static str = "the vector of a text and that of an image, reduced and fused";
    const PAPER: &'static str =
        "Singhal et al., SpotFake: A Multi-modal Framework for Fake News Detection, BigMM 2019";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new(
            "embedding_size",
            "at least 1",
            "dimension of the word vectors; pretrained vectors and encoders bring their own",
        ),
        Hyperparameter::new(
            "embedding_dropout",
            "0 to below 1",
            "share of the words without their vectors in a training step",
        ),
        Hyperparameter::new("freeze_embedding", "boolean", "do not train the word vectors"),
        Hyperparameter::new("train_encoder", "boolean", "train the encoder of texts, too"),
        Hyperparameter::new("train_image_encoder", "boolean", "train the image encoder, too"),
        Hyperparameter::new("modalities", "`both`, `text`, `image`", "what is read of a post"),
        Hyperparameter::new(
            "pooling",
            "`cls`, `mean`, `max`",
            "how the vectors of the tokens of an encoder become one, `cls` with BERT's pooler if it has one; words are averaged",
        ),
        Hyperparameter::new("text_hidden_size", "at least 1", "hidden layer of texts"),
        Hyperparameter::new("text_size", "at least 1", "features of texts"),
        Hyperparameter::new("image_hidden_size", "at least 1", "hidden layer of images"),
        Hyperparameter::new("image_size", "at least 1", "features of images"),
        Hyperparameter::new("fusion_size", "at least 1", "hidden layer of the fused features"),
        Hyperparameter::new(
            "dropout",
            "0 to below 1",
            "dropout of the hidden layers and of the fused features",
        ),
    ];

    type Config = SpotFakeConfig;

    fn fields(config: &SpotFakeConfig) -> Fields {
        let words = WordField::default().or_encoder_that_is(match config.train_encoder {
            true => EncoderUse::Trained,
            // One vector per text is enough, and cached.
            false => EncoderUse::Pooled(config.pooling, Precision::F32),
        });
        fields(
            config.modalities,
            words,
            ImageField::of(ImageOutput::FirstHidden, !config.train_image_encoder),
        )
    }

    fn build(path: &Path<'_>, config: &SpotFakeConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(SpotFake::new(path, config, &source, shape.image_encoder, shape.n_classes)?))
    }

    /// Returns FaKnow's settings with a trained encoder of texts.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adamw(3e-5).weight_decay(0.01).into(),
            loader: LoaderConfig { batch_size: 8, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 50, ..TrainerConfig::default() },
            text: TextConfig { max_length: 500, ..TextConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    /// Returns the settings of [`training_defaults`](Self::training_defaults) for an encoder that is trained; else a learning rate
    /// and a batch size for layers with random weights.
    fn training_defaults_for(config: &SpotFakeConfig, has_encoder: bool) -> TrainingDefaults {
        let default = Self::training_defaults();
        if has_encoder && config.train_encoder {
            return default;
        }
        TrainingDefaults {
            optimizer: OptimizerConfig::adamw(1e-3).weight_decay(0.01).into(),
            loader: LoaderConfig { batch_size: 64, ..LoaderConfig::default() },
            ..default
        }
    }

    fn use_word_vectors(config: &mut SpotFakeConfig, size: i64) -> bool {
        embedding_size(&mut config.embedding_size, size)
    }
}
