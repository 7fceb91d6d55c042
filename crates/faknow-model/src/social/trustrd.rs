//! TrustRD: a self-supervised encoder of trees, and a Bayesian classifier on its embeddings.
//!
//! *Towards Trustworthy Rumor Detection with Interpretable Graph Structural Learning*, CIKM 2023. Edges go from parent to child.

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
    /// Output size of each encoder layer, and of the hidden layers of the classifier, at least 1. Default 64.
    pub hidden_size: i64,
    /// Number of encoder layers, at least 1. Default 3.
    pub n_layers: i64,
    /// Number of self-supervised epochs of the encoder, before the classifier is trained; 0 skips pretraining. Default 25.
    pub pretrain_epochs: usize,
    /// Fraction of the features that a view keeps in pretraining, from 0 to 1; the others are replaced by those of a random
    /// node. Default 0.6.
    pub feature_keep_rate: f64,
    /// Dropout probability of the classifier, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Standard deviation of the noise added to the embeddings, at least 0. Default 0.04.
    pub embedding_noise: f64,
    /// Norm of the noise added to each parameter of the classifier, at least 0. Default 0.02.
    pub parameter_noise: f64,
    /// Weight of the consistency losses under both kinds of noise, at least 0. Default 0.2.
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
        let invalid = |name, expected: &str, got: f64| {
            Err(Error::Config { model: "TrustRD", name, expected: expected.into(), got: got.to_string() })
        };
        if !(0.0..=1.0).contains(&self.feature_keep_rate) {
            return invalid("feature_keep_rate", "from 0 to 1", self.feature_keep_rate);
        }
        let weights = [
            ("embedding_noise", self.embedding_noise),
            ("parameter_noise", self.parameter_noise),
            ("uncertainty_weight", self.uncertainty_weight),
        ];
        match weights.into_iter().find(|(_, weight)| !(*weight >= 0.0 && weight.is_finite())) {
            Some((name, got)) => invalid(name, "a number of at least 0", got),
            None => Ok(()),
        }
    }

    /// Returns the size of the node embeddings.
    pub(super) fn embedding_size(&self) -> i64 {
        self.hidden_size * self.n_layers
    }
}

/// The TrustRD classifier: the second stage, with the frozen encoder of the first.
///
/// Parameters: `pre_trained_model.encoder.*` (`encoder.*` in [`TrustRdPretraining`](super::TrustRdPretraining)), and those of
/// [`TrustRdHead`].
#[derive(Debug)]
pub struct TrustRd {
    encoder: TrustRdEncoder,
    head: TrustRdHead,
}

impl TrustRd {
    /// Creates a model for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
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
