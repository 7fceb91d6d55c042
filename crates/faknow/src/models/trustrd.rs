//! TrustRD: a self-supervised encoder and a Bayesian classifier.

use faknow_model::{Result, TrustRd, TrustRdConfig, TrustRdPretraining};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Pretraining, Shape, TrainingDefaults};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct TrustRdSpec;

impl ModelSpec for TrustRdSpec {
    const NAME: &'static str = "trustrd";
    const TITLE: &'static str = "self-supervised encoder (GIN) and Bayesian classifier";
    const PAPER: &'static str =
        "Towards Trustworthy Rumor Detection with Interpretable Graph Structural Learning, CIKM 2023";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new("hidden_size", "at least 1", "features of a node after each encoder layer"),
        Hyperparameter::new("n_layers", "at least 1", "encoder layers"),
        Hyperparameter::new(
            "pretrain_epochs",
            "at least 0",
            "epochs of self-supervised pretraining; 0: none",
        ),
        Hyperparameter::new(
            "feature_keep_rate",
            "0 to 1",
            "share of the features that an augmented view retains",
        ),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the classifier's features"),
        Hyperparameter::new(
            "embedding_noise",
            "at least 0",
            "standard deviation of the noise added to the encoder's output",
        ),
        Hyperparameter::new(
            "parameter_noise",
            "at least 0",
            "norm of the noise added to each classifier parameter",
        ),
        Hyperparameter::new("uncertainty_weight", "at least 0", "weight of the consistency loss under noise"),
    ];

    type Config = TrustRdConfig;

    fn fields(_: &TrustRdConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &TrustRdConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(TrustRd::new(path, config, shape.n_node_features, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.0005).weight_decay(0.0001).into(),
            loader: LoaderConfig { batch_size: 128, buckets: 0, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 200, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { patience: 15, ..EarlyStoppingConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn pretraining(
        path: &Path<'_>,
        config: &TrustRdConfig,
        shape: &Shape<'_>,
    ) -> Result<Option<Pretraining>> {
        if config.pretrain_epochs == 0 {
            return Ok(None);
        }
        let model = TrustRdPretraining::new(path, config, shape.n_node_features)?;
        let (epochs, prefix) = (config.pretrain_epochs, TrustRdPretraining::PREFIX);
        Ok(Some(Pretraining { model: Box::new(model), epochs, prefix }))
    }
}
