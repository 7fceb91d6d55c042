//! The specification of M3FEND.

use faknow_model::{M3fend, M3fendConfig, Result};
use tch::nn::Path;

use super::{BoxedModel, FeatureField, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults, mdfend};

pub(super) struct M3fendSpec;

impl ModelSpec for M3fendSpec {
    const NAME: &'static str = "m3fend";
    const TITLE: &'static str = "semantic, emotion and style experts, mixed by a memory of the domains";
    const PAPER: &'static str =
        "Zhu et al., Memory-Guided Multi-View Multi-Domain Fake News Detection, TKDE 2022";
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
        Hyperparameter::new("n_semantic_experts", "at least 1", "experts on the text"),
        Hyperparameter::new(
            "n_emotion_experts",
            "at least 1",
            "experts on emotion features, if there are any",
        ),
        Hyperparameter::new("n_style_experts", "at least 1", "experts on style features, if there are any"),
        Hyperparameter::new("n_filters", "at least 1", "filters of a semantic expert per kernel size"),
        Hyperparameter::new(
            "kernel_sizes",
            "tokens, each at least 1",
            "kernel sizes of the semantic experts",
        ),
        Hyperparameter::new(
            "expert_hidden_sizes",
            "each at least 1",
            "hidden layers of the emotion and style experts",
        ),
        Hyperparameter::new("n_interactions", "at least 1", "interactions of the experts"),
        Hyperparameter::new("n_slots", "at least 1", "slots of the memory per domain"),
        Hyperparameter::new(
            "hidden_sizes",
            "each at least 1",
            "hidden layers of the classifier; the last size is also that of the gate",
        ),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the hidden layers"),
        Hyperparameter::new("faithful", "boolean", "read padding as tokens, as FaKnow does (docs/parity.md)"),
    ];

    type Config = M3fendConfig;

    fn fields(config: &M3fendConfig) -> Fields {
        let fields = mdfend::fields_of_experts(&config.kernel_sizes, config.faithful, config.train_encoder);
        let features = M3fend::EMOTION_FEATURES.into_iter().chain(M3fend::STYLE_FEATURES);
        features.fold(fields, |fields, name| fields.with_feature(FeatureField::optional(name)))
    }

    fn build(path: &Path<'_>, config: &M3fendConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        let Shape { feature_sizes, n_domains, n_classes, .. } = *shape;
        Ok(Box::new(M3fend::new(path, config, &source, feature_sizes, n_domains, n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        mdfend::training_defaults(0.0001)
    }

    fn use_word_vectors(config: &mut M3fendConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }
}
