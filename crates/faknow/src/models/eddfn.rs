//! The specification of EDDFN.

use faknow_model::{Eddfn, EddfnConfig, EddfnInput, Error, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{
    BoxedModel, DomainField, EncoderUse, FeatureField, Fields, Hyperparameter, ModelSpec, Shape,
    TrainingDefaults, WordField,
};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct EddfnSpec;

impl ModelSpec for EddfnSpec {
    const NAME: &'static str = "eddfn";
    const TITLE: &'static str = "an embedding with a domain-specific and a domain-independent half";
    const PAPER: &'static str = "Silva et al., Embracing Domain Differences in Fake News: Cross-domain Fake News Detection using Multi-modal Data, AAAI 2021";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new(
            "embedding_size",
            "at least 1",
            "dimension of the word vectors; pretrained vectors bring their own",
        ),
        Hyperparameter::new("freeze_embedding", "boolean", "do not train the word vectors"),
        Hyperparameter::new("train_encoder", "boolean", "train the encoder, too"),
        Hyperparameter::new("hidden_size", "an even number of at least 2", "embedding, both halves together"),
        Hyperparameter::new("lambda1", "at least 0", "weight of the reconstruction of the input"),
        Hyperparameter::new("lambda2", "at least 0", "weight of the domain in the domain-specific half"),
        Hyperparameter::new(
            "lambda3",
            "at least 0",
            "weight of the adversary of the domain-independent half",
        ),
        Hyperparameter::new(
            "lsh_share",
            "above 0 to 1",
            "share of the training samples, selected by locality-sensitive hashing",
        ),
        Hyperparameter::new("faithful", "boolean", "reproduce FaKnow's defects (docs/parity.md)"),
    ];

    type Config = EddfnConfig;

    fn fields(config: &EddfnConfig) -> Fields {
        Fields::default()
            .with_words(WordField::default().or_encoder_that_is(EncoderUse::of(!config.train_encoder)))
            .with_domains(DomainField::default())
            .with_feature(FeatureField::optional(Eddfn::INPUT).standardized())
            .with_feature(FeatureField::optional(Eddfn::DOMAIN))
    }

    fn build(path: &Path<'_>, config: &EddfnConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let input = match shape.feature_size(Eddfn::INPUT) {
            Some(size) => EddfnInput::Feature(size),
            None => EddfnInput::Text(shape.text_source(config.embedding_size)),
        };
        let n_domains = Some(shape.n_domains).filter(|n| *n > 0);
        let domain_size = shape.feature_size(Eddfn::DOMAIN).or(n_domains).ok_or_else(|| Error::Config {
            model: "EDDFN",
            name: Eddfn::DOMAIN,
            expected: "a column of domains (`data.domain`), or this feature (`data.features`)".to_owned(),
            got: "neither".to_owned(),
        })?;
        Ok(Box::new(Eddfn::new(path, config, input, domain_size, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.001).into(),
            loader: LoaderConfig { batch_size: 64, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 300, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { patience: 10, ..EarlyStoppingConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn use_word_vectors(config: &mut EddfnConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }

    fn lsh_share(config: &EddfnConfig) -> Option<f64> {
        Some(config.lsh_share).filter(|share| *share < 1.0)
    }
}
