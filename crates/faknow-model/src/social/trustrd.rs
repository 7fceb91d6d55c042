//! TrustRD: an encoder that learns from trees without their labels, and a Bayesian classifier on what it makes of them.
//!
//! *Towards Trustworthy Rumor Detection with Interpretable Graph Structural Learning*, CIKM 2023. Messages go from parent to
//! child.

use faknow_data::FieldBatch;
use faknow_data::graph::NodeFeatures;
use serde::{Deserialize, Serialize};
use tch::nn::Path;

use super::{TrustRdEncoder, TrustRdHead, check};
use crate::{Error, Mode, Model, Output, Result};

/// Hyperparameters of [`TrustRd`] and of [`TrustRdPretraining`](super::TrustRdPretraining); the defaults are FaKnow's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustRdConfig {
    /// Features of a node after each layer of the encoder, and of a tree in the classifier, at least 1. Default 64.
    pub hidden_size: i64,
    /// Layers of the encoder, at least 1. Default 3.
    pub n_layers: i64,
    /// Epochs in which the encoder learns without labels, before the classifier learns; 0 leaves it as it is. Default 25.
    pub pretrain_epochs: usize,
    /// Share of the features that a view of the trees keeps in pretraining, from 0 to 1; for the others all nodes have those of
    /// one node. Default 0.6.
    pub feature_keep_rate: f64,
    /// Share of the classifier's features dropped in training, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Deviation of the noise that is added to what the encoder gives, at least 0. Default 0.04.
    pub embedding_noise: f64,
    /// Norm of the noise that is added to each of the classifier's parameters, at least 0. Default 0.02.
    pub parameter_noise: f64,
    /// How much the change by either noise counts in addition to the cross entropy, at least 0. Default 0.2.
    pub uncertainty_weight: f64,
}

impl Default for TrustRdConfig {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            n_layers: 3,
            pretrain_epochs: 25,
            feature_keep_rate: 0.6,
            dropout: 0.5,
            embedding_noise: 0.04,
            parameter_noise: 0.02,
            uncertainty_weight: 0.2,
        }
    }
}

impl TrustRdConfig {
    pub(super) fn validate(&self, n_classes: usize) -> Result<()> {
        let sizes = [("hidden_size", self.hidden_size), ("n_layers", self.n_layers)];
        check("TrustRD", &sizes, self.dropout, n_classes)?;
        let wrong = |name, expected: &str, got: f64| {
            Err(Error::Config { model: "TrustRD", name, expected: expected.into(), got: got.to_string() })
        };
        if !(0.0..=1.0).contains(&self.feature_keep_rate) {
            return wrong("feature_keep_rate", "from 0 to 1", self.feature_keep_rate);
        }
        let weights = [
            ("embedding_noise", self.embedding_noise),
            ("parameter_noise", self.parameter_noise),
            ("uncertainty_weight", self.uncertainty_weight),
        ];
        match weights.into_iter().find(|(_, weight)| !(*weight >= 0.0 && weight.is_finite())) {
            Some((name, got)) => wrong(name, "a number of at least 0", got),
            None => Ok(()),
        }
    }

    /// Features that the encoder gives a node.
    pub(super) fn embedding_size(&self) -> i64 {
        self.hidden_size * self.n_layers
    }
}

/// The TrustRD classifier: the second stage, with the encoder of the first, which does not learn any more.
///
/// Parameters: `pre_trained_model.encoder.*`, which [`TrustRdPretraining`](super::TrustRdPretraining) names `encoder.*`, and those of [`TrustRdHead`].
#[derive(Debug)]
pub struct TrustRd {
    encoder: TrustRdEncoder,
    head: TrustRdHead,
}

impl TrustRd {
    /// Creates a model of nodes with `n_features` each.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is outside its range.
    pub fn new(path: &Path<'_>, config: &TrustRdConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        let head = TrustRdHead::new(path, config, config.embedding_size(), n_features, n_classes)?;
        let encoder = TrustRdEncoder::new(
            &(path / "pre_trained_model" / "encoder"),
            n_features as i64,
            config.hidden_size,
            config.n_layers,
        )?;
        Ok(Self { encoder: encoder.freeze(), head })
    }
}

impl Model for TrustRd {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        self.head.forward(&self.encoder.encode(trees)?, batch, mode)
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}
