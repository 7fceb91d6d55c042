//! The result of an evaluation.

use crate::{Predictions, Scores};

/// The result of an evaluation pass over a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// `loss` and its parts, then the metrics.
    pub scores: Scores,
    /// Labels and class scores.
    pub predictions: Predictions,
    /// Duration of the pass in seconds.
    pub seconds: f64,
}
