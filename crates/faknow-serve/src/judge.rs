//! What is served: a detector, or anything else that judges texts or trees.

use std::path::Path;

use faknow::Result;
use faknow::data::graph::RawTree;
use faknow::detector::Explanation;
use faknow::{Detector, Prediction};
use serde::Serialize;

/// Judges samples. A [`Detector`] does, and so may a model of one's own.
///
/// It lives in one thread, which calls it for one batch at a time. What it answers as an error of data or of a setting
/// ([`faknow::Error::Data`], [`faknow::Error::Config`]) is told to the client; any other error, and a panic, is logged
/// and answered as a failure of the model.
pub trait Judge: Send {
    /// What it is.
    fn about(&self) -> About;

    /// Judges each sample, in their order.
    ///
    /// # Errors
    /// A sample is not what the model reads, or the model fails.
    fn predict(&self, samples: &[Sample]) -> Result<Vec<Prediction>>;

    /// Judges a sample, and says why.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict); or its judgements cannot be explained.
    fn explain(&self, sample: &Sample) -> Result<Explained>;
}

/// What `GET /v1/model` says of a judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// Name of the model, as in `model.name` of a config.
    pub model: String,
    /// The classes, in order.
    pub classes: Vec<String>,
    /// What it judges.
    pub reads: Reads,
}

/// What a judge judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Texts.
    Texts,
    /// Propagation trees.
    Trees,
}

/// What is judged. A judge is given what it [reads](About::reads), and nothing else.
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

/// A judgement with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Explained {
    /// Of a text: what each word did.
    Text(Explanation),
    /// Of a tree: what each node did.
    Tree(TreeExplanation),
}

/// A judgement of a tree, and what each node did for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeExplanation {
    /// What the detector says.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// The nodes, in their order.
    pub nodes: Vec<NodePart>,
}

/// A node of a tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodePart {
    /// Its id.
    pub id: String,
    /// What it did for the label, as [`Detector::explain_trees`] has it.
    pub contribution: f64,
}

impl Explained {
    /// The judgement without its reasons.
    pub fn prediction(&self) -> &Prediction {
        match self {
            Self::Text(explanation) => &explanation.prediction,
            Self::Tree(explanation) => &explanation.prediction,
        }
    }
}

impl Judge for Detector {
    fn about(&self) -> About {
        About {
            model: self.config().model.name.clone(),
            classes: self.classes().to_vec(),
            reads: if self.reads_trees() { Reads::Trees } else { Reads::Texts },
        }
    }

    fn predict(&self, samples: &[Sample]) -> Result<Vec<Prediction>> {
        if self.reads_trees() {
            self.predict_trees(self.to_trees(trees(samples), Path::new("trees"))?)
        } else {
            Detector::predict(self, &texts(samples))
        }
    }

    fn explain(&self, sample: &Sample) -> Result<Explained> {
        let nothing = || faknow::Error::config("", "this detector was given what it does not read");
        match sample {
            Sample::Text(text) => {
                let explanation = Detector::explain(self, &[text])?.into_iter().next();
                explanation.map(Explained::Text).ok_or_else(nothing)
            }
            Sample::Tree(raw) => {
                let trees = self.to_trees(vec![raw.clone()], Path::new("trees"))?;
                let prediction = self.predict_trees(trees.clone())?.into_iter().next();
                let contributions = self.explain_trees(trees)?.into_iter().flatten();
                let nodes = raw.node_ids.iter().cloned().zip(contributions);
                let nodes = nodes.map(|(id, contribution)| NodePart { id, contribution }).collect();
                let explanation = prediction.map(|prediction| TreeExplanation { prediction, nodes });
                explanation.map(Explained::Tree).ok_or_else(nothing)
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
