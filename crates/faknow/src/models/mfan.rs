//! The specification of MFAN.

use faknow_model::content::MfanNodes;
use faknow_model::image::ImageOutput;
use faknow_model::{Mfan, MfanConfig, Result};
use faknow_trainer::{Attack, OptimizerConfig, Pgd};
use tch::nn::Path;

use super::multimodal::{convolution_words, fields};
use super::{
    BoxedModel, DomainField, Fields, Hyperparameter, ImageField, ModelSpec, Shape, TrainingDefaults,
};
use crate::config::{LoaderConfig, TrainerConfig};

pub(super) struct MfanSpec;

impl ModelSpec for MfanSpec {
    const NAME: &'static str = "mfan";
    const TITLE: &'static str = "attention between a text, an image and the user or group of a post";
    const PAPER: &'static str =
        "Zheng et al., MFAN: Multi-modal Feature-enhanced Attention Networks for Rumor Detection, IJCAI 2022";
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
        Hyperparameter::new("n_filters", "at least 1", "filters of the text convolutions per kernel size"),
        Hyperparameter::new("kernel_sizes", "tokens, each at least 1", "kernel sizes of the convolutions"),
        Hyperparameter::new("n_heads", "at least 1", "attention heads"),
        Hyperparameter::new("key_size", "at least 1", "queries and keys per head"),
        Hyperparameter::new("value_size", "at least 1", "values per head"),
        Hyperparameter::new("attention_dropout", "0 to below 1", "dropout of the attention block"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the classifier"),
        Hyperparameter::new("n_graph_heads", "at least 1", "heads of the attention over a graph"),
        Hyperparameter::new("negative_slope", "at least 0", "slope of its negative scores"),
        Hyperparameter::new("graph_dropout", "0 to below 1", "its dropout"),
        Hyperparameter::new(
            "node_dropout",
            "0 to below 1",
            "share of the posts whose user counts as unknown in a training step",
        ),
        Hyperparameter::new(
            "alignment_weight",
            "at least 0",
            "weight of the distance of text and user in the loss",
        ),
        Hyperparameter::new(
            "adversarial",
            "boolean",
            "train on perturbed word vectors, too, by default (`adversarial`)",
        ),
        Hyperparameter::new("faithful", "boolean", "read padding as tokens, as FaKnow does (docs/parity.md)"),
    ];

    type Config = MfanConfig;

    fn fields(config: &MfanConfig) -> Fields {
        let words = convolution_words(config.train_encoder, &config.kernel_sizes, config.faithful);
        let images = ImageField::of(ImageOutput::Pooled, !config.train_image_encoder);
        fields(config.modalities, words, images).with_domains(DomainField::default())
    }

    fn build(path: &Path<'_>, config: &MfanConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        let nodes = match shape.n_domains {
            0 => MfanNodes::None,
            n_users => MfanNodes::Users(n_users),
        };
        Ok(Box::new(Mfan::new(path, config, &source, shape.image_encoder, nodes, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.002).into(),
            loader: LoaderConfig { batch_size: 64, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 20, ..TrainerConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    /// Returns FaKnow's settings; word vectors that are trained are perturbed (`[adversarial]`).
    fn training_defaults_for(config: &MfanConfig, has_encoder: bool) -> TrainingDefaults {
        let is_adversarial =
            config.adversarial && config.modalities.has_text() && !has_encoder && !config.freeze_embedding;
        let attack = || Attack::Pgd(Pgd::default());
        TrainingDefaults { adversarial: is_adversarial.then(attack), ..Self::training_defaults() }
    }

    fn use_word_vectors(config: &mut MfanConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }
}
