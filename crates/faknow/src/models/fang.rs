//! The specification of FANG.

use faknow_model::{Fang, FangConfig, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct FangSpec;

impl ModelSpec for FangSpec {
    const NAME: &'static str = "fang";
    const TITLE: &'static str = "GraphSAGE over articles, sources and users, with the stances of users";
    const PAPER: &'static str = "Nguyen et al., FANG: Leveraging Social Context for Fake News Detection Using Graph Representation, CIKM 2020";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new("embedding_size", "an even number of at least 2", "embedding of a node"),
        Hyperparameter::new("stance_size", "at least 1", "values per stance in the stance classifier"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout between the layers of the LSTM"),
        Hyperparameter::new("max_engagements", "at least 1", "engagements per article, the earliest"),
        Hyperparameter::new(
            "max_neighbors",
            "two numbers of at least 1",
            "neighbors per node in training, of a node and of its neighbors; all are used in evaluation",
        ),
        Hyperparameter::new(
            "n_contrasts",
            "at least 1",
            "neighbors and other nodes with which a node is compared per training step",
        ),
        Hyperparameter::new("stance_weight", "at least 0", "weight of the loss of the stances"),
        Hyperparameter::new("proximity_weight", "at least 0", "weight of the similarity of neighbors"),
        Hyperparameter::new("negative_weight", "at least 0", "weight of the other nodes in this similarity"),
    ];

    type Config = FangConfig;

    fn fields(_: &FangConfig) -> Fields {
        Fields::news()
    }

    fn build(path: &Path<'_>, config: &FangConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(Fang::new(path, config, shape.n_node_features, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.001).weight_decay(0.0005).into(),
            schedule: None,
            loader: LoaderConfig { batch_size: 32, buckets: 0, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 100, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { patience: 15, ..EarlyStoppingConfig::default() },
            ..TrainingDefaults::default()
        }
    }
}
