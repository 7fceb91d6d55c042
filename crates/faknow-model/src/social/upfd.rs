//! UPFD: an encoding of the propagation tree, combined with the features of the news item.
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
    /// Size of the encodings of a tree and of its news item, at least 1. Default 128.
    pub hidden_size: i64,
    /// Dropout probability before the last layer, from 0 to below 1. Default 0.
    pub dropout: f64,
}

impl Default for UpfdConfig {
    fn default() -> Self {
        Self { hidden_size: 128, dropout: 0.0 }
    }
}

/// The encoder of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpfdKind {
    /// A convolution and max pooling.
    Conv(ConvKind),
    /// The encoder of [`Gcnfn`](super::Gcnfn); its layer `fc1` is also applied to the concatenated encodings of tree and news
    /// item.
    Gcnfn,
}

/// The UPFD classifier.
///
/// Parameters: `conv.*` (GCNFN: `conv1.*`, `conv2.*`), `fc0.*`, `fc1.*`, `fc2.*`.
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
    /// Creates a model for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
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
        let (trees, linear) = match &self.encoder {
            Encoder::Conv(conv, linear) => {
                let nodes = conv.forward(&trees.features, &Graph::undirected(trees)?)?;
                // ReLU is monotone, so it can follow the maximum.
                (max_pool(&nodes, trees)?.f_relu()?, linear)
            }
            Encoder::Gcnfn(encoder) => (encoder.forward(trees)?, &encoder.linear),
        };
        let features = linear.forward(&Tensor::f_cat(&[trees, news], 1)?)?.f_relu()?;
        let features = dropout(&features, self.dropout, mode)?;
        loss::classify(self.classifier.forward(&features)?, batch)
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}
