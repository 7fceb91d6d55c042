//! From the scores of a model to a decision: a temperature, and a threshold where there are two classes.

use serde::{Deserialize, Serialize};

use crate::predictions::argmax;
use crate::{Predictions, Result};

/// How class scores become a decision.
///
/// ```
/// use faknow_metrics::Decision;
///
/// let decision = Decision { temperature: 2.0, threshold: Some(0.2) };
/// let scores = decision.scale(&[0.9, 0.1]);
/// assert!((scores[0] - 0.75).abs() < 1e-12 && (scores[1] - 0.25).abs() < 1e-12);
/// assert_eq!(decision.classify(&scores), 1);
/// assert_eq!(Decision::default().classify(&[0.9, 0.1]), 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What logits are divided by, above 0: above 1 the scores become less sure, below 1 surer. Default 1.
    pub temperature: f64,
    /// With two classes, the score of the second from which a sample is predicted to be of it, after the temperature. Default:
    /// the class with the highest score is chosen.
    pub threshold: Option<f64>,
}

impl Default for Decision {
    fn default() -> Self {
        Self { temperature: 1.0, threshold: None }
    }
}

impl Decision {
    /// Class scores `[n_classes]`, which sum to 1, after the temperature: what the softmax of the divided logits is.
    pub fn scale(&self, scores: &[f64]) -> Vec<f64> {
        if self.temperature == 1.0 {
            return scores.to_vec();
        }
        // The largest is taken out first, so that at least one power is 1 and the sum is not 0.
        let largest = scores.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let powers: Vec<f64> =
            scores.iter().map(|score| (score / largest).powf(1.0 / self.temperature)).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }

    /// The class that is chosen by scaled scores; the lowest of equal ones.
    pub fn classify(&self, scores: &[f64]) -> usize {
        match (self.threshold, scores) {
            (Some(threshold), [_, second]) => usize::from(*second >= threshold),
            _ => argmax(scores),
        }
    }

    /// The predictions that come of those of a model.
    ///
    /// # Errors
    /// None with a temperature above 0.
    pub fn apply(&self, predictions: &Predictions) -> Result<Predictions> {
        if *self == Self::default() {
            return Ok(predictions.clone());
        }
        let n_classes = predictions.n_classes();
        let rows = (0..predictions.n_samples()).map(|row| self.scale(predictions.row(row)));
        let scores: Vec<f64> = rows.flatten().collect();
        let predicted = scores.chunks_exact(n_classes).map(|row| self.classify(row)).collect();
        Predictions::new(n_classes, predictions.labels().to_vec(), scores)?.with_predicted(predicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_is_that_of_logits() {
        let logits = [2.0_f64, -1.0, 0.5];
        let softmax = |t: f64| -> Vec<f64> {
            let powers: Vec<f64> = logits.iter().map(|x| (x / t).exp()).collect();
            powers.iter().map(|p| p / powers.iter().sum::<f64>()).collect()
        };
        for t in [0.3, 1.0, 2.5] {
            let scaled = Decision { temperature: t, threshold: None }.scale(&softmax(1.0));
            let difference = scaled.iter().zip(softmax(t)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(difference < 1e-14, "{t}: {difference}");
        }
        // Scores that a softmax has rounded to 0 stay scores.
        assert_eq!(Decision { temperature: 0.1, threshold: None }.scale(&[1.0, 0.0]), [1.0, 0.0]);
    }

    #[test]
    fn a_threshold_changes_what_is_predicted_and_no_score() {
        let model = Predictions::new(2, vec![0, 1, 1], vec![0.9, 0.1, 0.6, 0.4, 0.2, 0.8]).unwrap();
        let decided = Decision { temperature: 1.0, threshold: Some(0.4) }.apply(&model).unwrap();
        assert_eq!((model.predicted(), decided.predicted()), (&[0, 0, 1][..], &[0, 1, 1][..]));
        assert_eq!(model.scores(), decided.scores());
        assert_eq!(decided.confusion().rows().map(<[u64]>::to_vec).collect::<Vec<_>>(), [[1, 0], [0, 2]]);
        // Three classes have no one threshold.
        assert_eq!(Decision { temperature: 1.0, threshold: Some(0.1) }.classify(&[0.5, 0.3, 0.2]), 0);
    }
}
