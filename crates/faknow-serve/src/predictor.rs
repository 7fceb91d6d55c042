//! What is served: a detector, or anything else that classifies texts or trees.

use std::path::Path;

use faknow::data::graph::RawTree;
use faknow::{Detector, Prediction, Result, detector};
use serde::Serialize;

/// Classifies samples. A [`Detector`] does, and so may a custom type.
///
/// It lives in one thread, which calls it for one batch at a time. An error of data or of a setting
/// ([`faknow::Error::Data`], [`faknow::Error::Config`]) is returned to the client; any other error, and a panic, is logged
/// and answered as a failure of the model.
pub trait Predictor: Send {
    /// Returns name, classes and inputs of the model.
    fn info(&self) -> ModelInfo;

    /// Classifies each sample, in their order.
    ///
    /// # Errors
    /// A sample is not what the model reads, or the model fails.
    fn predict(&self, samples: &[Sample]) -> Result<Vec<Prediction>>;

    /// Classifies a sample and explains the prediction.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict); or predictions of this model cannot be explained.
    fn explain(&self, sample: &Sample) -> Result<Explanation>;
}

/// What `GET /v1/model` returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// Name of the model, as in `model.name` of a config.
    pub model: String,
    /// The classes, in order.
    pub classes: Vec<String>,
    /// What a sample is.
    pub reads: InputKind,
}

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A text.
    Texts,
    /// A propagation tree.
    Trees,
}

/// An input of a prediction. A predictor only gets what it [reads](ModelInfo::reads).
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A text.
    Text(String),
    /// A propagation tree.
    Tree(RawTree),
}

impl Sample {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn tree(&self) -> Option<&RawTree> {
        if let Self::Tree(tree) = self { Some(tree) } else { None }
    }
}

/// A prediction with the contributions to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Explanation {
    /// Of a text: the contribution of each word.
    Text(detector::Explanation),
    /// Of a tree: the contribution of each node.
    Tree(TreeExplanation),
}

/// A prediction for a tree, with the contribution of each node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeExplanation {
    /// The prediction.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// The nodes, in their order.
    pub nodes: Vec<NodeAttribution>,
}

/// The contribution of a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeAttribution {
    /// Id of the node.
    pub id: String,
    /// Contribution to the label, see [`Detector::explain_trees`].
    pub contribution: f64,
}

impl Explanation {
    /// Returns the prediction alone.
    pub fn prediction(&self) -> &Prediction {
        match self {
            Self::Text(explanation) => &explanation.prediction,
            Self::Tree(explanation) => &explanation.prediction,
        }
    }
}

impl Predictor for Detector {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            model: self.config().model.name.clone(),
            classes: self.classes().to_vec(),
            reads: if self.reads_trees() { InputKind::Trees } else { InputKind::Texts },
        }
    }

    fn predict(&self, samples: &[Sample]) -> Result<Vec<Prediction>> {
        if self.reads_trees() {
            self.predict_trees(self.to_trees(trees(samples), Path::new("trees"))?)
        } else {
            Detector::predict(self, &texts(samples))
        }
    }

    fn explain(&self, sample: &Sample) -> Result<Explanation> {
        let nothing = || faknow::Error::config("", "this detector was given what it does not read");
        match sample {
            Sample::Text(text) => {
                let explanation = Detector::explain(self, &[text])?.into_iter().next();
                explanation.map(Explanation::Text).ok_or_else(nothing)
            }
            Sample::Tree(raw) => {
                let trees = self.to_trees(vec![raw.clone()], Path::new("trees"))?;
                let prediction = self.predict_trees(trees.clone())?.into_iter().next();
                let contributions = self.explain_trees(trees)?.into_iter().flatten();
                let nodes = raw.node_ids.iter().cloned().zip(contributions);
                let nodes = nodes.map(|(id, contribution)| NodeAttribution { id, contribution }).collect();
                let explanation = prediction.map(|prediction| TreeExplanation { prediction, nodes });
                explanation.map(Explanation::Tree).ok_or_else(nothing)
            }
        }
    }
}

fn texts(samples: &[Sample]) -> Vec<&str> {
    samples.iter().filter_map(Sample::text).collect()
}

fn trees(samples: &[Sample]) -> Vec<RawTree> {
    samples.iter().filter_map(Sample::tree).cloned().collect()
}
