//! The specification of GCNFN.

use faknow_model::{Gcnfn, GcnfnConfig, Result};
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults, upfd};

pub(super) struct GcnfnSpec;

impl ModelSpec for GcnfnSpec {
    const NAME: &'static str = "gcnfn";
    const TITLE: &'static str = "two graph attention layers, mean pooling over the tree, two linear layers";
    const PAPER: &'static str =
        "Monti et al., Fake News Detection on Social Media using Geometric Deep Learning, 2019";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new("hidden_size", "at least 1", "features of a tree; a node has twice as many"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of a tree's features"),
    ];

    type Config = GcnfnConfig;

    fn fields(_: &GcnfnConfig) -> Fields {
        Fields::trees()
    }

    fn build(path: &Path<'_>, config: &GcnfnConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(Gcnfn::new(path, config, shape.n_node_features, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        upfd::training_defaults()
    }
}
