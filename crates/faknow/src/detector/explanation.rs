//! Explanations of predictions: the contribution of each word of a text, or of each node of a tree.

use std::path::Path;

use faknow_data::text::{Subword, Words};
use faknow_data::{Batch as _, Dataset as _, FieldBatch, FieldDataset};
use faknow_model::{Model as _, WordContributions, integrated_gradients_in_parts, node_contributions};
use serde::Serialize;

use crate::detector::ngram_explanation::{NGramAttribution, NGramExplanation, explain_ngrams};
use crate::detector::sample::{Sample, encode};
use crate::detector::{Detector, SamplePrediction};
use crate::{Error, Result};

/// A prediction with the contributions of its input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Explanation {
    /// A text, with the contribution of each word.
    Text(TextExplanation),
    /// A tree, with the contribution of each node.
    Tree(TreeExplanation),
}

/// A prediction for a text, with the contribution of each of its words. Domain and features of its record are fixed.
///
/// Contributions, baseline and residual are log-odds of the label: the natural logarithm of its probability over that of
/// all other classes, by the uncalibrated scores. Baseline, contributions and residual add up to the log-odds of the text. A
/// text without a prediction has none of them.
///
/// Of a linear model of n-grams, they are logits of the label instead, the baseline is its bias, the contribution of a word is
/// the sum of its shares in the n-grams that contain it, and the residual is due to rounding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextExplanation {
    /// The prediction, or the reason for its absence.
    #[serde(flatten)]
    pub prediction: SamplePrediction,
    /// The words in order, with their contributions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Attribution>,
    /// Of a linear model of n-grams: the n-grams of the text with their exact contributions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ngrams: Vec<NGramAttribution>,
    /// Log-odds of a text without words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// Difference between the log-odds and the sum of baseline and contributions, since the integral is approximated in 64
    /// steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<f64>,
}

/// The contribution of a word of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// The token, in lowercase if the tokenizer lowercases.
    pub name: String,
    /// Whether the word is in the vocabulary; the model cannot distinguish unknown words.
    #[serde(rename = "known")]
    pub is_known: bool,
    /// Contribution to the label, positive if it supports the label.
    pub contribution: f64,
}

/// A prediction for a tree, with the contribution of each node; see [`node_contributions`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeExplanation {
    /// The prediction, or the reason for its absence.
    #[serde(flatten)]
    pub prediction: SamplePrediction,
    /// The nodes in order, with their contributions; empty without a prediction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeAttribution>,
}

/// The contribution of a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeAttribution {
    /// Id of the node, or its index from 0 if nodes have no ids.
    pub id: String,
    /// Contribution to the label, see [`node_contributions`].
    pub contribution: f64,
}

impl Explanation {
    /// Returns the prediction.
    pub fn prediction(&self) -> &SamplePrediction {
        match self {
            Self::Text(explanation) => &explanation.prediction,
            Self::Tree(explanation) => &explanation.prediction,
        }
    }
}

impl Detector {
    /// Classifies each text and returns the contributions of its words to the prediction, by
    /// [integrated gradients](faknow_model::integrated_gradients), which take about a hundred times as long as a prediction.
    ///
    /// # Errors
    /// The detector takes trees as input, the scores of its model do not depend on words, or the model fails.
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
    /// A sample is not of the detector's input type, its model does not support explanations, or the model fails.
    pub fn explain_samples(&self, samples: &[Sample]) -> Result<Vec<Explanation>> {
        let data = encode(samples, self.encoders(), self.fields(), Path::new("samples"))?;
        let predictions = self.predict_all(samples, data.clone())?;
        self.explain_all(samples, &data, &predictions)
    }

    /// Classifies and explains a sample, and calls `proceed` between the parts of the work, which take a few milliseconds each for
    /// a text on a CPU: for a thread that has other work in the meantime, or no longer needs the result. Returns `None` if
    /// `proceed` returned false.
    ///
    /// # Errors
    /// As for [`explain_samples`](Self::explain_samples).
    pub fn explain_in_parts(
        &self,
        sample: &Sample,
        proceed: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Explanation>> {
        let samples = std::slice::from_ref(sample);
        let data = encode(samples, self.encoders(), self.fields(), Path::new("samples"))?;
        let predictions = self.predict_all(samples, data.clone())?;
        let Some(prediction) = predictions.into_iter().next() else { return Ok(None) };
        if !proceed() {
            return Ok(None);
        }
        self.explain_one(sample, &data, 0, prediction, proceed)
    }

    /// Explains the predictions of samples, which `data` contains in the same order.
    pub(crate) fn explain_all(
        &self,
        samples: &[Sample],
        data: &FieldDataset,
        predictions: &[SamplePrediction],
    ) -> Result<Vec<Explanation>> {
        let mut explanations = Vec::with_capacity(samples.len());
        for (row, (sample, prediction)) in samples.iter().zip(predictions).enumerate() {
            explanations.extend(self.explain_one(sample, data, row, prediction.clone(), &mut || true)?);
        }
        Ok(explanations)
    }

    fn explain_one(
        &self,
        sample: &Sample,
        data: &FieldDataset,
        row: usize,
        prediction: SamplePrediction,
        proceed: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Explanation>> {
        let nodes = |ids: &mut dyn Iterator<Item = String>, prediction| {
            self.explain_tree(data, row, ids, prediction).map(Some)
        };
        let explain_text = |text: &str, prediction, proceed| {
            let explanation = self.explain_text(data, row, text, prediction, proceed)?;
            Ok(explanation.map(Explanation::Text))
        };
        match sample {
            Sample::Text(text) => explain_text(text, prediction, proceed),
            Sample::Record(record) => explain_text(&record.text, prediction, proceed),
            Sample::MissingText => explain_text("", prediction, proceed),
            Sample::Tree(tree) => nodes(&mut tree.node_ids.iter().cloned(), prediction),
            Sample::EncodedTree(tree) => {
                nodes(&mut (0..tree.n_nodes()).map(|node| node.to_string()), prediction)
            }
        }
    }

    fn explain_text(
        &self,
        data: &FieldDataset,
        row: usize,
        text: &str,
        prediction: SamplePrediction,
        proceed: &mut dyn FnMut() -> bool,
    ) -> Result<Option<TextExplanation>> {
        let batch = data.batch(&[row])?.to_device(self.device());
        // Also without a prediction, the same request is an error for a model that does not support explanations.
        let model = self.model().embedding_model_of(&batch);
        if model.is_none() && self.model().ngram_weights().is_none() {
            return Err(self.no_word_explanations());
        }
        let Some(label) = prediction.label() else {
            let (parts, ngrams, baseline, residual) = (Vec::new(), Vec::new(), None, None);
            return Ok(Some(TextExplanation { prediction, parts, ngrams, baseline, residual }));
        };
        let class = self.classes().iter().position(|name| name == label).unwrap_or_default();
        let exact = explain_ngrams(self.model(), self.encoders(), data, row, class, self.device())?;
        let (contributions, ngrams) = match (exact, model) {
            (Some(NGramExplanation { ngrams, words, bias, logit }), _) => {
                (WordContributions { words, output: logit, baseline: bias }, ngrams)
            }
            (None, Some(model)) => {
                match integrated_gradients_in_parts(&*model, &words_of(&batch)?, class, proceed)? {
                    Some(contributions) => (contributions, Vec::new()),
                    None => return Ok(None),
                }
            }
            (None, None) => return Err(self.no_word_explanations()),
        };
        let names = self.token_names(text)?.into_iter();
        let contribution = |index: usize| contributions.words.get(index).copied().unwrap_or_default();
        let parts = names.enumerate().map(|(index, (name, is_known))| Attribution {
            name,
            is_known,
            contribution: contribution(index),
        });
        let parts = parts.collect();
        let (baseline, residual) = (Some(contributions.baseline), Some(contributions.residual()));
        Ok(Some(TextExplanation { prediction, parts, ngrams, baseline, residual }))
    }

    /// Returns the tokens of a text and whether the model knows each of them. Subwords are the characters of the text that they
    /// stand for.
    fn token_names(&self, text: &str) -> Result<Vec<(String, bool)>> {
        if let Some(subwords) = &self.encoders().subwords {
            let unknown = subwords.tokenizer.unknown_id();
            let tokens = subwords.tokenizer.subwords(text)?.into_iter();
            let name = |token: Subword| {
                let (id, part) = (token.id, token.range.and_then(|range| text.get(range)));
                (part.map_or(token.token, str::to_owned), Some(id) != unknown)
            };
            return Ok(tokens.map(name).collect());
        }
        let words = self.word_encoder()?;
        let mut names = Vec::new();
        let is_known = |word: &str| match &self.encoders().ngrams {
            Some(ngrams) => ngrams.is_known(words.vocab.id(word)),
            None => words.vocab.contains(word),
        };
        words.tokenizer.tokenize(text, &mut |word| names.push((word.to_owned(), is_known(word))));
        Ok(names)
    }

    /// Returns the error for a model whose scores do not depend on token vectors.
    fn no_word_explanations(&self) -> Error {
        let (name, features) = (&self.config().model.name, &self.encoders().feature_sizes);
        let names: Vec<String> = features.iter().map(|(name, _)| format!("`{name}`")).collect();
        let cause = match names[..] {
            [] => "implement `Model::embedding_model_of`".to_owned(),
            _ => format!("it was trained on the features {} (`data.features`)", names.join(", ")),
        };
        let message =
            format!("no explanations by word: the scores of `{name}` do not depend on words; {cause}");
        Error::config("", message)
    }

    fn explain_tree(
        &self,
        data: &FieldDataset,
        row: usize,
        ids: &mut dyn Iterator<Item = String>,
        prediction: SamplePrediction,
    ) -> Result<Explanation> {
        if prediction.label().is_none() {
            return Ok(Explanation::Tree(TreeExplanation { prediction, nodes: Vec::new() }));
        }
        let batch = data.batch(&[row])?.to_device(self.device());
        let contributions = node_contributions(self.model(), &batch)?;
        let nodes = ids.zip(contributions).map(|(id, contribution)| NodeAttribution { id, contribution });
        Ok(Explanation::Tree(TreeExplanation { prediction, nodes: nodes.collect() }))
    }
}

/// Returns the words or subwords of a batch.
pub(crate) fn words_of(batch: &FieldBatch) -> Result<Words> {
    let (ids, lengths) = match &batch.subwords {
        Some(subwords) => (&subwords.ids, &subwords.lengths),
        None => (&batch.words()?.ids, &batch.words()?.lengths),
    };
    Ok(Words { ids: ids.shallow_clone(), lengths: lengths.shallow_clone() })
}
