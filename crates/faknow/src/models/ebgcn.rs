//! The specification of EBGCN.

use faknow_model::{Ebgcn, EbgcnConfig, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct EbgcnSpec;

impl ModelSpec for EbgcnSpec {
    const NAME: &'static str = "ebgcn";
    const TITLE: &'static str = "BiGCN with inferred edge weights";
    const PAPER: &'static str = "Wei et al., Towards Propagation Uncertainty: Edge-enhanced Bayesian Graph Convolutional Networks for Rumor Detection, ACL 2021";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new("hidden_size", "at least 1", "features of a node after the first convolution"),
        Hyperparameter::new("out_size", "at least 1", "features of a node after the second convolution"),
        Hyperparameter::new("n_relations", "at least 1", "number of latent edge relations"),
        Hyperparameter::new("edge_loss_weight", "at least 0", "weight of the edge consistency loss"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout before the second convolution"),
        Hyperparameter::new(
            "drop_edge",
            "0 to 1",
            "share of the edges dropped per training step and direction",
        ),
        Hyperparameter::new("faithful", "boolean", "reproduce FaKnow's defects (docs/parity.md)"),
    ];

    type Config = EbgcnConfig;

    fn fields(_: &EbgcnConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &EbgcnConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(Ebgcn::new(path, config, shape.n_node_features, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.0005)
                .weight_decay(0.0001)
                .group("BURumorGCN.conv*", |group| group.lr(0.0001))
                .into(),
            loader: LoaderConfig {
                batch_size: 128,
                eval_batch_size: 64,
                buckets: 0,
                ..LoaderConfig::default()
            },
            trainer: TrainerConfig { epochs: 200, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { patience: 15, ..EarlyStoppingConfig::default() },
            ..TrainingDefaults::default()
        }
    }
}
