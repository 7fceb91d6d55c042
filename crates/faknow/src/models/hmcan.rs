//! The specification of HMCAN.

use faknow_model::image::ImageOutput;
use faknow_model::{Hmcan, HmcanConfig, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::multimodal::fields;
use super::{
    BoxedModel, EncoderUse, Fields, Hyperparameter, ImageField, ModelSpec, Shape, TrainingDefaults, WordField,
};
use crate::config::{LoaderConfig, TrainerConfig};

pub(super) struct HmcanSpec;

impl ModelSpec for HmcanSpec {
    const NAME: &'static str = "hmcan";
    const TITLE: &'static str =
        "a text at several levels and the regions of an image, each in the context of the other";
    const PAPER: &'static str = "Qian et al., Hierarchical Multi-modal Contextual Attention Network for Fake News Detection, SIGIR 2021";
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
        Hyperparameter::new("train_encoder", "boolean", "train the encoder, too"),
        Hyperparameter::new("train_image_encoder", "boolean", "train the image encoder, too"),
        Hyperparameter::new("modalities", "both, text, image", "what is read of a post"),
        Hyperparameter::new(
            "n_levels",
            "at least 1",
            "groups of layers of the encoder; 1 for the last layer, which is cached if the encoder is frozen",
        ),
        Hyperparameter::new("n_layers", "at least 1", "layers that encode a modality"),
        Hyperparameter::new("n_heads", "at least 1", "their attention heads"),
        Hyperparameter::new(
            "n_cross_layers",
            "at least 1",
            "layers that encode a modality in the context of the other",
        ),
        Hyperparameter::new("n_cross_heads", "at least 1", "their attention heads"),
        Hyperparameter::new(
            "key_size",
            "at least 0",
            "queries and keys per head; 0: the token vectors, divided by the heads unless faithful",
        ),
        Hyperparameter::new("alpha", "0 to 1", "weight of the text as the context of the image"),
        Hyperparameter::new("hidden_size", "at least 1", "hidden layer of the classifier"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the transformers"),
        Hyperparameter::new("faithful", "boolean", "FaKnow's transformers and levels (docs/parity.md)"),
    ];

    type Config = HmcanConfig;

    fn fields(config: &HmcanConfig) -> Fields {
        // Only the last layer of a frozen encoder is cached.
        let words = WordField::default().or_encoder_that_is(match (config.train_encoder, config.n_levels) {
            (true, _) => EncoderUse::Trained,
            (false, 1) => EncoderUse::Frozen,
            (false, _) => EncoderUse::Adapted,
        });
        fields(config.modalities, words, ImageField::of(ImageOutput::Regions, !config.train_image_encoder))
    }

    fn build(path: &Path<'_>, config: &HmcanConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(Hmcan::new(path, config, &source, shape.image_encoder, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.001).into(),
            loader: LoaderConfig { batch_size: 256, buckets: 0, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 150, ..TrainerConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn use_word_vectors(config: &mut HmcanConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }
}
