//! The prediction for a text or a tree, or the reason for its absence.

use std::fmt;

use faknow_data::text::is_blank;
use faknow_data::{NodeFeatureKind, TokenCounts, is_missing};
use faknow_metrics::Prediction;
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::detector::Sample;

/// The prediction for a text or a tree, or the reason for its absence, and the number of tokens that the model knows.
///
/// To a model, all unknown words are the same: its scores for an empty text, a text of emoji and a text in a language that it has
/// never seen say nothing about the text. A sample without any known token therefore has no prediction.
///
/// In JSON: `label`, `score`, `scores` and `known_tokens`; without a prediction the first three are null, followed by `reason`.
///
/// ```no_run
/// # let detector = faknow::Detector::load("runs/first".as_ref(), faknow::tch::Device::Cpu)?;
/// for sample in detector.predict(&["Aliens endorse the mayor", "🙂"])? {
///     match sample.outcome {
///         Ok(prediction) => println!("{} {:.3}", prediction.label, prediction.score),
///         Err(reason) => println!("no prediction: {reason}"),
///     }
/// }
/// # Ok::<(), faknow::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SamplePrediction {
    /// The prediction, or the reason for its absence.
    pub outcome: Result<Prediction, NoPrediction>,
    /// Number of tokens that the model knows: of a text, those in the vocabulary; of a tree, the distinct known words of each
    /// node or, if nodes have other features than words, its nodes.
    pub known_tokens: usize,
    /// Number of tokens that the model reads, known or not.
    pub n_tokens: usize,
    /// Whether the model uses domains, and the sample has none or one that does not occur in the training data.
    pub lacks_domain: bool,
}

/// The reason why a sample has no prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPrediction {
    /// The text is empty, or has only whitespace and invisible characters.
    #[error("empty text")]
    EmptyText,
    /// The text is missing: null, or a placeholder such as `NaN`.
    #[error("missing text")]
    MissingText,
    /// No token of the text or tree is in the vocabulary of the model.
    #[error("no known tokens")]
    NoKnownTokens,
    /// The record lacks a numeric feature that the model reads.
    #[error("missing features")]
    MissingFeatures,
    /// The record has no image, and the model reads images alone.
    #[error("no image")]
    NoImage,
    /// A numeric feature of the record has another number of values than in training.
    #[error("features of another length")]
    FeatureSize,
    /// No node of the tree has features.
    #[error("no features")]
    NoFeatures,
}

impl SamplePrediction {
    /// Returns the prediction, if there is one.
    pub fn prediction(&self) -> Option<&Prediction> {
        self.outcome.as_ref().ok()
    }

    /// Returns the predicted class, if there is a prediction.
    pub fn label(&self) -> Option<&str> {
        self.prediction().map(|prediction| prediction.label.as_str())
    }

    /// Returns the score of the predicted class, from 0 to 1, if there is a prediction.
    pub fn score(&self) -> Option<f64> {
        self.prediction().map(|prediction| prediction.score)
    }

    /// Returns the reason why there is no prediction.
    pub fn reason(&self) -> Option<NoPrediction> {
        self.outcome.as_ref().err().copied()
    }
}

/// Formats the label and its score, or the reason.
impl fmt::Display for SamplePrediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(Prediction { label, score, .. }) => write!(f, "{label} {score:.3}"),
            Err(reason) => write!(f, "no prediction: {reason}"),
        }
    }
}

impl Serialize for SamplePrediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reason = self.reason();
        let mut fields =
            serializer.serialize_struct("SamplePrediction", 4 + usize::from(reason.is_some()))?;
        match self.prediction() {
            Some(prediction) => {
                fields.serialize_field("label", &prediction.label)?;
                fields.serialize_field("score", &prediction.score)?;
                fields.serialize_field("scores", &Scores(&prediction.scores))?;
            }
            None => {
                for name in ["label", "score", "scores"] {
                    fields.serialize_field(name, &None::<f64>)?;
                }
            }
        }
        fields.serialize_field("known_tokens", &self.known_tokens)?;
        if let Some(reason) = reason {
            fields.serialize_field("reason", &reason.to_string())?;
        }
        fields.end()
    }
}

/// Scores by class, as an object.
struct Scores<'a>(&'a [(String, f64)]);

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(class, score)| (class, score)))
    }
}

/// Returns the reason why a sample with these numbers of tokens has no prediction, if it has none.
pub(crate) fn reason_against(
    sample: &Sample,
    counts: TokenCounts,
    features: NodeFeatureKind,
) -> Option<NoPrediction> {
    let reason = match sample {
        Sample::Text(text) => reason_against_text(text),
        Sample::Record(record) => reason_against_text(&record.text),
        Sample::MissingText => Some(NoPrediction::MissingText),
        Sample::Tree(tree) if tree.is_empty() && features == NodeFeatureKind::Numbers => {
            Some(NoPrediction::NoFeatures)
        }
        Sample::Tree(_) | Sample::EncodedTree(_) => None,
    };
    reason.or((counts.n_known == 0).then_some(NoPrediction::NoKnownTokens))
}

fn reason_against_text(text: &str) -> Option<NoPrediction> {
    match text {
        text if is_blank(text) => Some(NoPrediction::EmptyText),
        text if is_missing(text) => Some(NoPrediction::MissingText),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_without_known_tokens_have_a_reason() {
        let check = |text: &str, n_known: usize, expected: Option<NoPrediction>| {
            let counts = TokenCounts { n_tokens: n_known, n_known };
            assert_eq!(
                reason_against(&Sample::Text(text.to_owned()), counts, NodeFeatureKind::Numbers),
                expected,
                "{text:?}"
            );
        };
        for text in ["", " ", "\u{200b}\u{feff}", "\u{a0}\t\n", "\u{1b}\u{2060}"] {
            check(text, 0, Some(NoPrediction::EmptyText));
        }
        for text in ["🙂", "привет", "!!!"] {
            check(text, 0, Some(NoPrediction::NoKnownTokens));
        }
        for text in ["NaN", " None ", "null"] {
            check(text, 1, Some(NoPrediction::MissingText));
        }
        check("rain", 1, None);
        check("None of them", 1, None);
    }

    #[test]
    fn json_has_null_and_the_reason() {
        let check = |outcome: Result<Prediction, NoPrediction>, expected: &str| {
            let sample = SamplePrediction { outcome, known_tokens: 2, n_tokens: 3, lacks_domain: false };
            assert_eq!(serde_json::to_string(&sample).unwrap(), expected);
        };
        let scores = vec![("real".to_owned(), 0.25), ("fake".to_owned(), 0.75)];
        check(
            Ok(Prediction { label: "fake".into(), score: 0.75, scores }),
            r#"{"label":"fake","score":0.75,"scores":{"real":0.25,"fake":0.75},"known_tokens":2}"#,
        );
        check(
            Err(NoPrediction::NoKnownTokens),
            r#"{"label":null,"score":null,"scores":null,"known_tokens":2,"reason":"no known tokens"}"#,
        );
    }
}
