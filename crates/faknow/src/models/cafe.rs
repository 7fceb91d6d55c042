//! The specification of CAFE.

use faknow_model::image::ImageOutput;
use faknow_model::{Cafe, CafeConfig, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::multimodal::{embedding_size, words};
use super::{
    Auxiliary, BoxedModel, Fields, Hyperparameter, ImageField, ModelSpec, Shape, TrainingDefaults,
};
use crate::config::{LoaderConfig, TrainerConfig};

pub(super) struct CafeSpec;

impl ModelSpec for CafeSpec {
    const NAME: &'static str = "cafe";
    const TITLE: &'static str =
        "features of text, image and their correlation, weighted by the ambiguity between the two";
    const PAPER: &'static str =
        "Chen et al., Cross-modal Ambiguity Learning for Multimodal Fake News Detection, WWW 2022";
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
        Hyperparameter::new("text_hidden_size", "at least 1", "hidden layer of the encoder of texts"),
        Hyperparameter::new("image_hidden_size", "at least 1", "hidden layer of the encoder of images"),
        Hyperparameter::new("shared_size", "at least 1", "length of the vectors of texts and of images"),
        Hyperparameter::new("aligned_size", "at least 1", "length of the aligned vectors"),
        Hyperparameter::new("latent_size", "at least 1", "components of the latent variable of the ambiguity"),
        Hyperparameter::new("unimodal_size", "at least 1", "features of each modality alone"),
        Hyperparameter::new("cross_size", "at least 1", "features of the correlation of both"),
        Hyperparameter::new("hidden_size", "at least 1", "the two hidden layers of the classifier"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the encoders of texts and images"),
        Hyperparameter::new("similarity_lr", "above 0", "learning rate of the optimizer of the alignment"),
        Hyperparameter::new(
            "real_class",
            "index of a class",
            "the class of real news, in which text and image match",
        ),
        Hyperparameter::new("faithful", "boolean", "read padding as tokens, as FaKnow does (docs/parity.md)"),
    ];

    type Config = CafeConfig;

    fn fields(config: &CafeConfig) -> Fields {
        let words = words(config.modalities, config.train_encoder, &config.kernel_sizes, config.faithful);
        let fields = Fields { words, ..Fields::default() };
        match config.modalities.has_image() {
            true => fields.with_images(ImageField::of(ImageOutput::Pooled, !config.train_image_encoder)),
            false => fields,
        }
    }

    fn build(path: &Path<'_>, config: &CafeConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(Cafe::new(path, config, &source, shape.image_encoder, shape.n_classes)?))
    }

    /// Returns the optimizer of the alignment, which exists if texts and images are read.
    fn auxiliary(config: &CafeConfig, shape: &Shape<'_>) -> Option<Auxiliary> {
        let has_both =
            config.modalities.has_text() && config.modalities.has_image() && shape.image_encoder.is_some();
        has_both.then(|| Auxiliary {
            name: "similarity",
            parameters: Cafe::ALIGNMENT,
            optimizer: OptimizerConfig::adam(config.similarity_lr),
        })
    }

    /// Returns the settings of the authors. Batches of texts of similar length (`buckets`) would have other statistics than the
    /// running ones of batch normalization, which evaluation uses.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.001).into(),
            loader: LoaderConfig { batch_size: 64, buckets: 0, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 100, ..TrainerConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn use_word_vectors(config: &mut CafeConfig, size: i64) -> bool {
        embedding_size(&mut config.embedding_size, size)
    }
}
