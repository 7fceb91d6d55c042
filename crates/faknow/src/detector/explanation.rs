//! What led to a prediction: the contribution of each word of a text, or of each node of a tree.

use std::path::Path;

use faknow_data::{Batch as _, Dataset as _, FieldDataset};
use faknow_model::{WordContributions, integrated_gradients, node_contributions};
use serde::Serialize;

use crate::Result;
use crate::detector::not_of_words;
use crate::detector::sample::{Sample, encode};
use crate::detector::{Detector, Prediction};

/// A prediction with the contributions to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Explanation {
    /// Of a text: the contribution of each word.
    Text(TextExplanation),
    /// Of a tree: the contribution of each node.
    Tree(TreeExplanation),
}

/// A prediction for a text, with the contribution of each of its words.
///
/// Contributions, baseline and residual are log-odds of the label: the natural logarithm of its probability over that of all other
/// classes, by the model's own scores. Baseline, contributions and residual add up to those of the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextExplanation {
    /// The prediction.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// The words, in their order.
    pub parts: Vec<Attribution>,
    /// The log-odds of a text without words.
    pub baseline: f64,
    /// What the parts do not account for, since the integral is a sum of 64 steps.
    pub residual: f64,
}

/// A word of a text, as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// The token: in lower case, if the texts were so in training.
    pub name: String,
    /// Whether training knew the word; all others are one and the same to the model.
    #[serde(rename = "known")]
    pub is_known: bool,
    /// Contribution to the label: above 0 it speaks for it, below against it.
    pub contribution: f64,
}

/// A prediction for a tree, with the contribution of each node; see [`node_contributions`].
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
    /// Id of the node; its position from 0 where nodes have none.
    pub id: String,
    /// Contribution to the label, see [`node_contributions`].
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

impl Detector {
    /// Classifies each text and returns the contributions of its words to the prediction, by
    /// [integrated gradients](faknow_model::integrated_gradients): some hundred times the work of a prediction.
    ///
    /// # Errors
    /// The detector takes trees as input, its model sees more of a text than its words, or the model fails.
    pub fn explain<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<TextExplanation>> {
        let samples: Vec<Sample> = texts.iter().map(|text| Sample::Text(text.as_ref().to_owned())).collect();
        let explanations =
            self.explain_samples(&samples)?.into_iter().filter_map(|explanation| match explanation {
                Explanation::Text(explanation) => Some(explanation),
                Explanation::Tree(_) => None,
            });
        Ok(explanations.collect())
    }

    /// Classifies each sample and returns the contributions of its words or nodes to the prediction.
    ///
    /// # Errors
    /// A sample is not what the detector reads, its model cannot be explained, or it fails.
    pub fn explain_samples(&self, samples: &[Sample]) -> Result<Vec<Explanation>> {
        let data = encode(samples, self.encoders(), self.fields(), Path::new("samples"))?;
        let predictions = self.predict_all(data.clone())?;
        self.explain_all(samples, &data, &predictions)
    }

    /// Explains the predictions of these samples, which are the rows of `data`.
    pub(crate) fn explain_all(
        &self,
        samples: &[Sample],
        data: &FieldDataset,
        predictions: &[Prediction],
    ) -> Result<Vec<Explanation>> {
        let explain = |(row, (sample, prediction)): (usize, (&Sample, &Prediction))| match sample {
            Sample::Text(text) => {
                self.explain_text(data, row, text, prediction.clone()).map(Explanation::Text)
            }
            Sample::Tree(tree) => {
                self.explain_tree(data, row, tree.node_ids.iter().cloned(), prediction.clone())
            }
            Sample::EncodedTree(tree) => {
                let ids = (0..tree.n_nodes()).map(|node| node.to_string());
                self.explain_tree(data, row, ids, prediction.clone())
            }
        };
        samples.iter().zip(predictions).enumerate().map(explain).collect()
    }

    fn explain_text(
        &self,
        data: &FieldDataset,
        row: usize,
        text: &str,
        prediction: Prediction,
    ) -> Result<TextExplanation> {
        let words = self.word_encoder()?;
        let class = self.classes().iter().position(|name| *name == prediction.label).unwrap_or_default();
        let contributions = self.word_contributions(data, row, class)?;
        let mut parts = Vec::with_capacity(contributions.words.len());
        words.tokenizer.tokenize(text, &mut |word| {
            let contribution = contributions.words.get(parts.len()).copied().unwrap_or_default();
            parts.push(Attribution {
                name: word.to_owned(),
                is_known: words.vocab.contains(word),
                contribution,
            });
        });
        let residual = contributions.residual();
        Ok(TextExplanation { prediction, parts, baseline: contributions.baseline, residual })
    }

    fn word_contributions(&self, data: &FieldDataset, row: usize, class: usize) -> Result<WordContributions> {
        let model = self.model().as_embedding_model().ok_or_else(not_of_words)?;
        let batch = data.batch(&[row])?.to_device(self.device());
        Ok(integrated_gradients(model, batch.words()?, class)?)
    }

    fn explain_tree(
        &self,
        data: &FieldDataset,
        row: usize,
        ids: impl Iterator<Item = String>,
        prediction: Prediction,
    ) -> Result<Explanation> {
        let batch = data.batch(&[row])?.to_device(self.device());
        let contributions = node_contributions(self.model(), &batch)?;
        let nodes = ids.zip(contributions).map(|(id, contribution)| NodeAttribution { id, contribution });
        Ok(Explanation::Tree(TreeExplanation { prediction, nodes: nodes.collect() }))
    }
}
