//! GCN, GraphSAGE and GAT as tree classifiers: a convolution, max pooling, a linear layer.
//!
//! Kipf and Welling, ICLR 2017; Hamilton, Ying and Leskovec, NIPS 2017; Veličković et al., ICLR 2018; in the form of
//! the baselines of Dou et al., *User Preference-aware Fake News Detection*, SIGIR 2021. Edges are undirected.

use faknow_data::FieldBatch;
use faknow_data::graph::NodeFeatures;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::check;
use crate::layers::{GatConv, GcnConv, GcnPropagation, Graph, Linear, SageConv, dropout, max_pool};
use crate::{Mode, Model, Output, Result, loss};

/// Hyperparameters of [`GraphClassifier`]; the defaults are the benchmark's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphClassifierConfig {
    /// Output size of the convolution, at least 1. Default 128.
    pub hidden_size: i64,
    /// Dropout probability of the features of a tree, from 0 to below 1. Default 0.
    pub dropout: f64,
}

impl Default for GraphClassifierConfig {
    fn default() -> Self {
        Self { hidden_size: 128, dropout: 0.0 }
    }
}

/// The convolution of a [`GraphClassifier`] or [`Upfd`](super::Upfd).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvKind {
    /// [`GcnConv`].
    Gcn,
    /// [`SageConv`].
    Sage,
    /// [`GatConv`].
    Gat,
}

/// A convolution of any [`ConvKind`].
#[derive(Debug)]
pub(super) enum Conv {
    Gcn(GcnConv),
    Sage(SageConv),
    Gat(GatConv),
}

impl Conv {
    pub(super) fn new(path: &Path<'_>, kind: ConvKind, n_in: i64, n_out: i64) -> Result<Self> {
        Ok(match kind {
            ConvKind::Gcn => Self::Gcn(GcnConv::new(path, n_in, n_out)?),
            ConvKind::Sage => Self::Sage(SageConv::new(path, n_in, n_out)?),
            ConvKind::Gat => Self::Gat(GatConv::new(path, n_in, n_out)?),
        })
    }

    pub(super) fn forward(&self, features: &NodeFeatures, graph: &Graph) -> Result<Tensor> {
        match self {
            Self::Gcn(conv) => conv.forward(features, &GcnPropagation::new(graph, conv.weight().kind())?),
            Self::Sage(conv) => conv.forward(features, graph),
            Self::Gat(conv) => conv.forward(features, graph),
        }
    }
}

/// The GCN, GraphSAGE or GAT classifier.
///
/// Parameters: `conv.*`, `fc2.*`.
#[derive(Debug)]
pub struct GraphClassifier {
    conv: Conv,
    classifier: Linear,
    dropout: f64,
}

impl GraphClassifier {
    /// Creates a model for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(
        path: &Path<'_>,
        kind: ConvKind,
        config: &GraphClassifierConfig,
        n_features: usize,
        n_classes: usize,
    ) -> Result<Self> {
        let name = match kind {
            ConvKind::Gcn => "GCN",
            ConvKind::Sage => "GraphSAGE",
            ConvKind::Gat => "GAT",
        };
        check(name, &[("hidden_size", config.hidden_size)], config.dropout, n_classes)?;
        let conv = Conv::new(&(path / "conv"), kind, n_features as i64, config.hidden_size)?;
        let classifier = Linear::new(&(path / "fc2"), config.hidden_size, n_classes as i64)?;
        Ok(Self { conv, classifier, dropout: config.dropout })
    }
}

impl Model for GraphClassifier {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let nodes = self.conv.forward(&trees.features, &Graph::undirected(trees)?)?;
        // ReLU is monotone, so it can follow the maximum.
        let features = dropout(&max_pool(&nodes, trees)?.f_relu()?, self.dropout, mode)?;
        loss::classify(self.classifier.forward(&features)?, batch)
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}
