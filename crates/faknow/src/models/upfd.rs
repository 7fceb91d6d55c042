//! UPFD: a tree encoder of four kinds, concatenated with the features of the root.

use faknow_model::{ConvKind, Result, Upfd, UpfdConfig, UpfdKind};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

const PAPER: &str = "Dou et al., User Preference-aware Fake News Detection, SIGIR 2021";

const HYPERPARAMETERS: &[Hyperparameter] = &[
    Hyperparameter::new("hidden_size", "at least 1", "features of a tree and of its root"),
    Hyperparameter::new("dropout", "0 to below 1", "dropout before the last layer"),
];

pub(super) struct UpfdGcnSpec;
pub(super) struct UpfdSageSpec;
pub(super) struct UpfdGatSpec;
pub(super) struct UpfdGcnfnSpec;

/// Returns the training settings of the UPFD benchmark's authors for its graph models.
///
/// A batch of trees is one graph without padding, so sorting samples by size (`buckets`) has no benefit and trains worse.
/// GNNCL is the only tree model with padding.
pub(super) fn training_defaults() -> TrainingDefaults {
    TrainingDefaults {
        optimizer: OptimizerConfig::adam(0.001).weight_decay(0.01).into(),
        loader: LoaderConfig { batch_size: 128, buckets: 0, ..LoaderConfig::default() },
        trainer: TrainerConfig { epochs: 60, ..TrainerConfig::default() },
        early_stopping: EarlyStoppingConfig { patience: 15, ..EarlyStoppingConfig::default() },
        ..TrainingDefaults::default()
    }
}

fn build(kind: UpfdKind, path: &Path<'_>, config: &UpfdConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
    Ok(Box::new(Upfd::new(path, kind, config, shape.n_node_features, shape.n_classes)?))
}

impl ModelSpec for UpfdGcnSpec {
    const NAME: &'static str = "upfd-gcn";
    const TITLE: &'static str = "graph convolution over the tree, concatenated with the root";
    const PAPER: &'static str = PAPER;
    const HYPERPARAMETERS: &'static [Hyperparameter] = HYPERPARAMETERS;

    type Config = UpfdConfig;

    fn fields(_: &UpfdConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &UpfdConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        build(UpfdKind::Conv(ConvKind::Gcn), path, config, shape)
    }

    fn training_defaults() -> TrainingDefaults {
        training_defaults()
    }
}

impl ModelSpec for UpfdSageSpec {
    const NAME: &'static str = "upfd-sage";
    const TITLE: &'static str = "GraphSAGE over the tree, concatenated with the root";
    const PAPER: &'static str = PAPER;
    const HYPERPARAMETERS: &'static [Hyperparameter] = HYPERPARAMETERS;

    type Config = UpfdConfig;

    fn fields(_: &UpfdConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &UpfdConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        build(UpfdKind::Conv(ConvKind::Sage), path, config, shape)
    }

    fn training_defaults() -> TrainingDefaults {
        training_defaults()
    }
}

impl ModelSpec for UpfdGatSpec {
    const NAME: &'static str = "upfd-gat";
    const TITLE: &'static str = "graph attention over the tree, concatenated with the root";
    const PAPER: &'static str = PAPER;
    const HYPERPARAMETERS: &'static [Hyperparameter] = HYPERPARAMETERS;

    type Config = UpfdConfig;

    fn fields(_: &UpfdConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &UpfdConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        build(UpfdKind::Conv(ConvKind::Gat), path, config, shape)
    }

    fn training_defaults() -> TrainingDefaults {
        training_defaults()
    }
}

impl ModelSpec for UpfdGcnfnSpec {
    const NAME: &'static str = "upfd-gcnfn";
    const TITLE: &'static str = "GCNFN over the tree, concatenated with the root";
    const PAPER: &'static str = PAPER;
    const HYPERPARAMETERS: &'static [Hyperparameter] = HYPERPARAMETERS;

    type Config = UpfdConfig;

    fn fields(_: &UpfdConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &UpfdConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        build(UpfdKind::Gcnfn, path, config, shape)
    }

    fn training_defaults() -> TrainingDefaults {
        training_defaults()
    }
}
