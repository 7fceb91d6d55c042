//! The specification of BiGCN.

use faknow_model::{BiGcn, BiGcnConfig, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct BiGcnSpec;

impl ModelSpec for BiGcnSpec {
    const NAME: &'static str = "bigcn";
    const TITLE: &'static str = "top-down and bottom-up graph convolutions, with the root at every node";
    const PAPER: &'static str = "Bian et al., Rumor Detection on Social Media with Bi-Directional Graph Convolutional Networks, AAAI 2020";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new("hidden_size", "at least 1", "features of a node after the first convolution"),
        Hyperparameter::new("out_size", "at least 1", "features of a node after the second convolution"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout before the second convolution"),
        Hyperparameter::new(
            "drop_edge",
            "0 to 1",
            "share of the edges dropped per training step and direction",
        ),
        Hyperparameter::new(
            "detach_root",
            "boolean",
            "no gradient through the root's features, as in the authors' code",
        ),
    ];

    type Config = BiGcnConfig;

    fn fields(_: &BiGcnConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &BiGcnConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(BiGcn::new(path, config, shape.n_node_features, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.0005)
                .weight_decay(0.0001)
                .group("BURumorGCN.*", |group| group.lr(0.0001))
                .into(),
            loader: LoaderConfig { batch_size: 128, buckets: 0, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 200, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { patience: 15, ..EarlyStoppingConfig::default() },
            ..TrainingDefaults::default()
        }
    }
}
