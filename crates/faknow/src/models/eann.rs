//! The specification of EANN.

use faknow_model::image::ImageOutput;
use faknow_model::{Eann, EannConfig, Error, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::multimodal::{convolution_words, embedding_size, fields};
use super::{
    BoxedModel, DomainField, Fields, Hyperparameter, ImageField, ModelSpec, Shape, TrainingDefaults,
};
use crate::config::{LoaderConfig, TrainerConfig};

pub(super) struct EannSpec;

impl ModelSpec for EannSpec {
    const NAME: &'static str = "eann";
    const TITLE: &'static str = "text and image features that do not reveal the event of a post";
    const PAPER: &'static str =
        "Wang et al., EANN: Event Adversarial Neural Networks for Multi-Modal Fake News Detection, KDD 2018";
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
        Hyperparameter::new("n_filters", "at least 1", "filters per kernel size"),
        Hyperparameter::new("kernel_sizes", "tokens, each at least 1", "kernel sizes of the convolutions"),
        Hyperparameter::new("hidden_size", "at least 1", "features of each modality"),
        Hyperparameter::new("event_hidden_size", "at least 1", "hidden layer of the event discriminator"),
        Hyperparameter::new(
            "reverse_lambda",
            "at least 0",
            "factor of the reversed gradient of the event discriminator",
        ),
        Hyperparameter::new("faithful", "boolean", "reproduce FaKnow's defects (docs/parity.md)"),
    ];

    type Config = EannConfig;

    fn fields(config: &EannConfig) -> Fields {
        let words = convolution_words(config.train_encoder, &config.kernel_sizes, config.faithful);
        let images = ImageField::of(ImageOutput::Logits, !config.train_image_encoder);
        fields(config.modalities, words, images).with_domains(DomainField::for_training())
    }

    fn build(path: &Path<'_>, config: &EannConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        if shape.n_domains < 2 {
            return Err(Error::Config {
                model: "EANN",
                name: "event",
                expected: "a column with at least two events (`--event`, or `data.domain` of a config)"
                    .into(),
                got: match shape.n_domains {
                    0 => "none".into(),
                    n => format!("{n} event"),
                },
            });
        }
        let source = shape.text_source(config.embedding_size);
        let image = shape.image_encoder;
        Ok(Box::new(Eann::new(path, config, &source, image, shape.n_domains, shape.n_classes)?))
    }

    /// Returns the settings of FaKnow, which are those of the authors.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.001).into(),
            loader: LoaderConfig { batch_size: 100, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 100, ..TrainerConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn use_word_vectors(config: &mut EannConfig, size: i64) -> bool {
        embedding_size(&mut config.embedding_size, size)
    }
}
