//! UPFD: how a news item spreads, next to the news item itself.
//!
//! Dou et al., *User Preference-aware Fake News Detection*, SIGIR 2021. The news item is the root of its tree.

use faknow_data::FieldBatch;
use faknow_data::graph::NodeFeatures;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::check;
use super::gcnfn::GcnfnEncoder;
use super::graph_classifier::{Conv, ConvKind};
use crate::layers::{Graph, Linear, NodeLinear, dropout, max_pool};
use crate::{Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Upfd`]; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpfdConfig {
    /// Features of a tree and of its news item, at least 1. Default 128.
    pub hidden_size: i64,
    /// Share of the features dropped before the last layer in training, from 0 to below 1. Default 0.
    pub dropout: f64,
}

impl Default for UpfdConfig {
    fn default() -> Self {
        Self { hidden_size: 128, dropout: 0.0 }
    }
}

/// What encodes the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpfdKind {
    /// A convolution, and the maximum over the tree.
    Conv(ConvKind),
    /// As [`Gcnfn`](super::Gcnfn); its layer `fc1` is used a second time, for tree and news item together.
    Gcnfn,
}

/// The UPFD classifier.
///
/// Parameters: `conv.*` (of GCNFN `conv1.*`, `conv2.*`), `fc0.*`, `fc1.*`, `fc2.*`.
#[derive(Debug)]
pub struct Upfd {
    encoder: Encoder,
    news: NodeLinear,
    classifier: Linear,
    dropout: f64,
}

#[derive(Debug)]
enum Encoder {
    Conv(Conv, Linear),
    Gcnfn(GcnfnEncoder),
}

impl Upfd {
    /// Creates a model of nodes with `n_features` each.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is outside its range.
    pub fn new(
        path: &Path<'_>,
        kind: UpfdKind,
        config: &UpfdConfig,
        n_features: usize,
        n_classes: usize,
    ) -> Result<Self> {
        check("UPFD", &[("hidden_size", config.hidden_size)], config.dropout, n_classes)?;
        let (n_in, n) = (n_features as i64, config.hidden_size);
        let encoder = match kind {
            UpfdKind::Conv(kind) => Encoder::Conv(
                Conv::new(&(path / "conv"), kind, n_in, n)?,
                Linear::new(&(path / "fc1"), 2 * n, n)?,
            ),
            UpfdKind::Gcnfn => Encoder::Gcnfn(GcnfnEncoder::new(path, n_in, n)?),
        };
        Ok(Self {
            encoder,
            news: NodeLinear::new(&(path / "fc0"), n_in, n)?,
            classifier: Linear::new(&(path / "fc2"), n, n_classes as i64)?,
            dropout: config.dropout,
        })
    }
}

impl Model for Upfd {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let news = self.news.forward(&trees.features.select(&trees.roots)?)?.f_relu()?;
        let (trees, both) = match &self.encoder {
            Encoder::Conv(conv, both) => {
                let nodes = conv.forward(&trees.features, &Graph::undirected(trees)?)?;
                // The maximum of what a ReLU leaves is what it leaves of the maximum.
                (max_pool(&nodes, trees)?.f_relu()?, both)
            }
            Encoder::Gcnfn(encoder) => (encoder.forward(trees)?, &encoder.linear),
        };
        let features = both.forward(&Tensor::f_cat(&[trees, news], 1)?)?.f_relu()?;
        let features = dropout(&features, self.dropout, mode)?;
        loss::classify(self.classifier.forward(&features)?, batch)
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}
