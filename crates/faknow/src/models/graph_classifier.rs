//! GCN, GraphSAGE and GAT with a single layer, as in the UPFD benchmark.

use faknow_model::{ConvKind, GraphClassifier, GraphClassifierConfig, Result};
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults, upfd};

const HYPERPARAMETERS: &[Hyperparameter] = &[
    Hyperparameter::new("hidden_size", "at least 1", "features of a node after the convolution"),
    Hyperparameter::new("dropout", "0 to below 1", "dropout of a tree's features"),
];

pub(super) struct GcnSpec;
pub(super) struct GraphSageSpec;
pub(super) struct GatSpec;

fn build(
    kind: ConvKind,
    path: &Path<'_>,
    config: &GraphClassifierConfig,
    shape: &Shape<'_>,
) -> Result<BoxedModel> {
    let Shape { n_node_features, n_classes, .. } = *shape;
    Ok(Box::new(GraphClassifier::new(path, kind, config, n_node_features, n_classes)?))
}

impl ModelSpec for GcnSpec {
    const NAME: &'static str = "gcn";
    const TITLE: &'static str = "graph convolution, max pooling over the tree, linear layer";
    const PAPER: &'static str =
        "Kipf and Welling, Semi-Supervised Classification with Graph Convolutional Networks, ICLR 2017";
    const HYPERPARAMETERS: &'static [Hyperparameter] = HYPERPARAMETERS;

    type Config = GraphClassifierConfig;

    fn fields(_: &Self::Config) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &Self::Config, shape: &Shape<'_>) -> Result<BoxedModel> {
        build(ConvKind::Gcn, path, config, shape)
    }

    fn training_defaults() -> TrainingDefaults {
        upfd::training_defaults()
    }
}

impl ModelSpec for GraphSageSpec {
    const NAME: &'static str = "graphsage";
    const TITLE: &'static str =
        "GraphSAGE convolution with mean aggregation, max pooling over the tree, linear layer";
    const PAPER: &'static str =
        "Hamilton, Ying and Leskovec, Inductive Representation Learning on Large Graphs, NIPS 2017";
    const HYPERPARAMETERS: &'static [Hyperparameter] = HYPERPARAMETERS;

    type Config = GraphClassifierConfig;

    fn fields(_: &Self::Config) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &Self::Config, shape: &Shape<'_>) -> Result<BoxedModel> {
        build(ConvKind::Sage, path, config, shape)
    }

    fn training_defaults() -> TrainingDefaults {
        upfd::training_defaults()
    }
}

impl ModelSpec for GatSpec {
    const NAME: &'static str = "gat";
    const TITLE: &'static str = "graph attention, max pooling over the tree, linear layer";
    const PAPER: &'static str = "Veličković et al., Graph Attention Networks, ICLR 2018";
    const HYPERPARAMETERS: &'static [Hyperparameter] = HYPERPARAMETERS;

    type Config = GraphClassifierConfig;

    fn fields(_: &Self::Config) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &Self::Config, shape: &Shape<'_>) -> Result<BoxedModel> {
        build(ConvKind::Gat, path, config, shape)
    }

    fn training_defaults() -> TrainingDefaults {
        upfd::training_defaults()
    }
}
