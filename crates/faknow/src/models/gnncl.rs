//! The specification of GNNCL.

use faknow_model::{Gnncl, GnnclConfig, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct GnnclSpec;

impl ModelSpec for GnnclSpec {
    const NAME: &'static str = "gnncl";
    const TITLE: &'static str =
        "hierarchical pooling of the tree into two levels of learned clusters (DiffPool)";
    const PAPER: &'static str = "Han, Karunasekera and Leckie, Graph Neural Networks with Continual Learning for Fake News Detection from Social Media, 2020";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new(
            "max_nodes",
            "at least 1",
            "maximum nodes of a tree; the two poolings have a quarter of the clusters each",
        ),
        Hyperparameter::new("hidden_size", "at least 1", "features of a node after each convolution"),
        Hyperparameter::new("aux_weight", "at least 0", "weight of the pooling losses"),
        Hyperparameter::new("pad_to_max", "boolean", "pad trees to `max_nodes`, as FaKnow does"),
    ];

    type Config = GnnclConfig;

    fn fields(_: &GnnclConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &GnnclConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(Gnncl::new(path, config, shape.n_node_features, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adam(0.001).into(),
            loader: LoaderConfig { batch_size: 128, eval_batch_size: 128, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 60, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { patience: 15, ..EarlyStoppingConfig::default() },
            ..TrainingDefaults::default()
        }
    }
}
