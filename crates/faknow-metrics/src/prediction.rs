//! Readable predictions: the label, its score, and the scores of all classes by name.

use serde::{Serialize, Serializer};

use crate::{Decision, Error, Result};

/// The prediction of a classifier for a sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The predicted class: the one with the highest score, the first in a tie, or by the decision's threshold.
    pub label: String,
    /// Its score, from 0 to 1.
    pub score: f64,
    /// The score of every class, in order, after the decision's temperature scaling; they sum to 1.
    #[serde(serialize_with = "as_map")]
    pub scores: Vec<(String, f64)>,
}

impl Decision {
    /// Returns the prediction for class scores that sum to 1, as a model returns them.
    ///
    /// ```
    /// use faknow_metrics::Decision;
    ///
    /// let decision = Decision { threshold: Some(0.3), ..Decision::default() };
    /// let prediction = decision.predict(&["real", "fake"], &[0.6, 0.4])?;
    /// assert_eq!((prediction.label.as_str(), prediction.score), ("fake", 0.4));
    /// # Ok::<(), faknow_metrics::Error>(())
    /// ```
    ///
    /// # Errors
    /// The number of scores is not the number of classes, or both are 0.
    pub fn predict<S: AsRef<str>>(&self, classes: &[S], scores: &[f64]) -> Result<Prediction> {
        if classes.len() != scores.len() || classes.is_empty() {
            return Err(Error::Length { what: "class scores", expected: classes.len(), got: scores.len() });
        }
        let scores = self.scale(scores);
        let class = self.classify(&scores);
        let names = classes.iter().map(|name| name.as_ref().to_owned());
        Ok(Prediction {
            label: classes[class].as_ref().to_owned(),
            score: scores[class],
            scores: names.zip(scores).collect(),
        })
    }
}

fn as_map<S: Serializer>(scores: &[(String, f64)], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(scores.iter().map(|(name, score)| (name, score)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predict_applies_temperature_and_threshold() {
        let classes = ["real", "fake"];
        let check = |decision: Decision, scores: [f64; 2], label: &str, score: f64| {
            let prediction = decision.predict(&classes, &scores).unwrap();
            assert_eq!(prediction.label, label);
            assert!((prediction.score - score).abs() < 1e-12, "{prediction:?}");
        };
        check(Decision::default(), [0.75, 0.25], "real", 0.75);
        check(Decision::default(), [0.5, 0.5], "real", 0.5);
        check(Decision { threshold: Some(0.25), ..Decision::default() }, [0.75, 0.25], "fake", 0.25);
        check(Decision { temperature: 2.0, threshold: None }, [0.1, 0.9], "fake", 0.75);
        let json =
            serde_json::to_string(&Decision::default().predict(&classes, &[0.75, 0.25]).unwrap()).unwrap();
        assert_eq!(json, r#"{"label":"real","score":0.75,"scores":{"real":0.75,"fake":0.25}}"#);
    }

    #[test]
    fn predict_rejects_wrong_number_of_scores() {
        let error = Decision::default().predict(&["real", "fake"], &[1.0]).unwrap_err();
        assert_eq!(error.to_string(), "class scores: expected 2 values, got 1");
        assert!(Decision::default().predict::<&str>(&[], &[]).is_err());
    }
}
