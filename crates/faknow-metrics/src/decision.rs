//! How class scores become a predicted class: temperature scaling, and a threshold for two classes.

use serde::{Deserialize, Serialize};

use crate::predictions::argmax;
use crate::{Predictions, Result};

/// How class scores become a predicted class.
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
    /// Temperature that logits are divided by, above 0: values above 1 lower the confidence, values below 1 raise it.
    /// Default 1.
    pub temperature: f64,
    /// With two classes, the second is predicted if its score, after temperature scaling, is at least this. Default: the class
    /// with the highest score is predicted.
    pub threshold: Option<f64>,
}

impl Default for Decision {
    fn default() -> Self {
        Self { temperature: 1.0, threshold: None }
    }
}

impl Decision {
    /// Returns class scores `[n_classes]`, which sum to 1, after temperature scaling: the softmax of the logits divided by the
    /// temperature.
    pub fn scale(&self, scores: &[f64]) -> Vec<f64> {
        if self.temperature == 1.0 {
            return scores.to_vec();
        }
        // Divided by the largest first, so at least one power is 1 and the sum is not 0.
        let largest = scores.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let powers: Vec<f64> =
            scores.iter().map(|score| (score / largest).powf(1.0 / self.temperature)).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }

    /// Returns the class predicted from scaled scores; the lowest in a tie.
    pub fn classify(&self, scores: &[f64]) -> usize {
        match (self.threshold, scores) {
            (Some(threshold), [_, second]) => usize::from(*second >= threshold),
            _ => argmax(scores),
        }
    }

    /// Returns the predictions after temperature scaling and thresholding.
    ///
    /// # Errors
    /// The temperature is not above 0, so that scores are not finite.
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
    fn scale_equals_softmax_of_divided_logits() {
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
        // Scores that softmax rounded to 0 stay finite.
        assert_eq!(Decision { temperature: 0.1, threshold: None }.scale(&[1.0, 0.0]), [1.0, 0.0]);
    }

    #[test]
    fn threshold_changes_predictions_but_not_scores() {
        let model = Predictions::new(2, vec![0, 1, 1], vec![0.9, 0.1, 0.6, 0.4, 0.2, 0.8]).unwrap();
        let thresholded = Decision { temperature: 1.0, threshold: Some(0.4) }.apply(&model).unwrap();
        assert_eq!((model.predicted(), thresholded.predicted()), (&[0, 0, 1][..], &[0, 1, 1][..]));
        assert_eq!(model.scores(), thresholded.scores());
        assert_eq!(thresholded.confusion().rows().map(<[u64]>::to_vec).collect::<Vec<_>>(), [[1, 0], [0, 2]]);
        // The threshold is ignored for three classes.
        assert_eq!(Decision { temperature: 1.0, threshold: Some(0.1) }.classify(&[0.5, 0.3, 0.2]), 0);
    }
}
