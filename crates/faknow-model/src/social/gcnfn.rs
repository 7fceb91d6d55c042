//! GCNFN: two graph attention convolutions, mean pooling, two linear layers.
//!
//! Monti et al., *Fake News Detection on Social Media using Geometric Deep Learning*, 2019, in the form of Dou et al.,
//! SIGIR 2021: one attention head and cross entropy (the paper: four heads and hinge loss). Edges are undirected.

use faknow_data::FieldBatch;
use faknow_data::graph::{NodeFeatures, Trees};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::check;
use crate::layers::{GatConv, Graph, Linear, dropout, mean_pool};
use crate::{Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Gcnfn`]; the defaults are FaKnow's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GcnfnConfig {
    /// Number of features of a tree, half of those of a node. At least 1. Default 128.
    pub hidden_size: i64,
    /// Dropout probability of the features of a tree, from 0 to below 1. Default 0.5.
    pub dropout: f64,
}

impl Default for GcnfnConfig {
    fn default() -> Self {
        Self { hidden_size: 128, dropout: 0.5 }
    }
}

/// The GCNFN classifier.
///
/// Parameters: `conv1.*`, `conv2.*`, `fc1.*`, `fc2.*`.
#[derive(Debug)]
pub struct Gcnfn {
    encoder: GcnfnEncoder,
    classifier: Linear,
    dropout: f64,
}

impl Gcnfn {
    /// Creates a model for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &GcnfnConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        check("GCNFN", &[("hidden_size", config.hidden_size)], config.dropout, n_classes)?;
        let encoder = GcnfnEncoder::new(path, n_features as i64, config.hidden_size)?;
        let classifier = Linear::new(&(path / "fc2"), config.hidden_size, n_classes as i64)?;
        Ok(Self { encoder, classifier, dropout: config.dropout })
    }
}

impl Model for Gcnfn {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let features = dropout(&self.encoder.forward(trees)?, self.dropout, mode)?;
        loss::classify(self.classifier.forward(&features)?, batch)
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}

/// The layers before dropout: encode trees as `[n_trees, hidden_size]`.
#[derive(Debug)]
pub(super) struct GcnfnEncoder {
    convs: [GatConv; 2],
    pub(super) linear: Linear,
}

impl GcnfnEncoder {
    pub(super) fn new(path: &Path<'_>, n_features: i64, hidden_size: i64) -> Result<Self> {
        let wide = 2 * hidden_size;
        let convs = [
            GatConv::new(&(path / "conv1"), n_features, wide)?,
            GatConv::new(&(path / "conv2"), wide, wide)?,
        ];
        Ok(Self { convs, linear: Linear::new(&(path / "fc1"), wide, hidden_size)? })
    }

    pub(super) fn forward(&self, trees: &Trees) -> Result<Tensor> {
        let graph = Graph::undirected(trees)?;
        let nodes = NodeFeatures::Dense(self.convs[0].forward(&trees.features, &graph)?.f_selu()?);
        let nodes = self.convs[1].forward(&nodes, &graph)?.f_selu()?;
        let trees = mean_pool(&nodes, trees)?.f_selu()?;
        Ok(self.linear.forward(&trees)?.f_selu()?)
    }
}
