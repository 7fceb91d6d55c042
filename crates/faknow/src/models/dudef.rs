//! The specification of DUDEF.

use faknow_model::{Dudef, DudefConfig, Error, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{
    BoxedModel, EncoderUse, FeatureField, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults,
    WordField,
};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct DudefSpec;

impl ModelSpec for DudefSpec {
    const NAME: &'static str = "dudef";
    const TITLE: &'static str = "bidirectional GRU, with the emotions of a post and of its comments";
    const PAPER: &'static str = "Zhang et al., Mining Dual Emotion for Fake News Detection, WWW 2021";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new(
            "embedding_size",
            "at least 1",
            "dimension of the word vectors; pretrained vectors bring their own",
        ),
        Hyperparameter::new("freeze_embedding", "boolean", "do not train the word vectors"),
        Hyperparameter::new("train_encoder", "boolean", "train the encoder, too"),
        Hyperparameter::new("hidden_size", "at least 1", "state of the GRU per direction"),
        Hyperparameter::new("n_layers", "at least 1", "layers of the GRU"),
        Hyperparameter::new("dense_size", "at least 1", "layer between features and classes"),
        Hyperparameter::new("faithful", "boolean", "reproduce FaKnow's defects (docs/parity.md)"),
    ];

    type Config = DudefConfig;

    fn fields(config: &DudefConfig) -> Fields {
        Fields::default()
            .with_words(WordField::default().or_encoder_that_is(EncoderUse::of(!config.train_encoder)))
            .with_feature(FeatureField::required(Dudef::EMOTIONS).standardized())
    }

    fn build(path: &Path<'_>, config: &DudefConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let n_emotions = shape.feature_size(Dudef::EMOTIONS).ok_or_else(|| Error::Config {
            model: "DUDEF",
            name: Dudef::EMOTIONS,
            expected: "data with this feature".to_owned(),
            got: "none".to_owned(),
        })?;
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(Dudef::new(path, config, &source, n_emotions, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.001).into(),
            loader: LoaderConfig { batch_size: 32, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 50, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { patience: 10, ..EarlyStoppingConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn use_word_vectors(config: &mut DudefConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }
}
