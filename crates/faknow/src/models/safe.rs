//! The specification of SAFE.

use faknow_model::image::ImageOutput;
use faknow_model::{Result, Safe, SafeConfig};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::multimodal::{convolution_words, embedding_size, fields};
use super::{BoxedModel, Fields, Hyperparameter, ImageField, ModelSpec, Shape, TrainingDefaults};
use crate::config::{LoaderConfig, TrainerConfig};

pub(super) struct SafeSpec;

impl ModelSpec for SafeSpec {
    const NAME: &'static str = "safe";
    const TITLE: &'static str = "text, image and their similarity, which is high for real news";
    const PAPER: &'static str =
        "Zhou, Wu and Zafarani, SAFE: Similarity-Aware Multi-modal Fake News Detection, PAKDD 2020";
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
        Hyperparameter::new("title", "boolean", "read the headline as a separate text (`data.title`)"),
        Hyperparameter::new("reduced_size", "at least 1", "length to which token vectors are reduced"),
        Hyperparameter::new("n_filters", "at least 1", "filters per kernel size"),
        Hyperparameter::new(
            "kernel_sizes",
            "tokens or regions, each at least 1",
            "kernel sizes of the convolutions",
        ),
        Hyperparameter::new("feature_size", "at least 1", "features of headline, text and image each"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the outputs of the convolutions"),
        Hyperparameter::new("class_weight", "at least 0", "weight of the loss of the classes"),
        Hyperparameter::new(
            "similarity_weight",
            "at least 0",
            "weight of the loss of the similarity of text and image",
        ),
        Hyperparameter::new(
            "real_class",
            "index of a class",
            "the class of real news, in which text and image are similar",
        ),
        Hyperparameter::new("faithful", "boolean", "reproduce FaKnow's defects (docs/parity.md)"),
    ];

    type Config = SafeConfig;

    fn fields(config: &SafeConfig) -> Fields {
        let words = convolution_words(config.train_encoder, &config.kernel_sizes, config.faithful);
        let fields = fields(
            config.modalities,
            words,
            ImageField::of(ImageOutput::Regions, !config.train_image_encoder),
        );
        let has_title = config.title && config.modalities.has_text();
        if has_title { fields.with_text(Safe::TITLE) } else { fields }
    }

    fn build(path: &Path<'_>, config: &SafeConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(Safe::new(path, config, &source, shape.image_encoder, shape.n_classes)?))
    }

    /// Returns the settings of the authors.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(5e-4).into(),
            loader: LoaderConfig { batch_size: 64, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 100, ..TrainerConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn use_word_vectors(config: &mut SafeConfig, size: i64) -> bool {
        embedding_size(&mut config.embedding_size, size)
    }
}
