//! UPFD: the tree by one of four encoders, next to the features of its root.

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

/// How the graph models of the UPFD benchmark were trained by its authors.
///
/// Trees become one graph without padding, so buckets would save nothing: batches of trees alike in size only train worse. Of all
/// models of trees GNNCL alone pads.
pub(super) fn training_defaults() -> TrainingDefaults {
    TrainingDefaults {
        optimizer: OptimizerConfig::adam(0.001).weight_decay(0.01).into(),
        loader: LoaderConfig { batch_size: 128, buckets: 0, ..LoaderConfig::default() },
        trainer: TrainerConfig { epochs: 60, ..TrainerConfig::default() },
        early_stopping: EarlyStoppingConfig { patience: 15, ..EarlyStoppingConfig::default() },
    }
}

fn build(kind: UpfdKind, path: &Path<'_>, config: &UpfdConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
    Ok(Box::new(Upfd::new(path, kind, config, shape.n_node_features, shape.n_classes)?))
}

impl ModelSpec for UpfdGcnSpec {
    const NAME: &'static str = "upfd-gcn";
    const TITLE: &'static str = "the tree by a graph convolution, next to its root";
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
    const TITLE: &'static str = "the tree by GraphSAGE, next to its root";
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
    const TITLE: &'static str = "the tree by attention, next to its root";
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
    const TITLE: &'static str = "the tree by GCNFN, next to its root";
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
