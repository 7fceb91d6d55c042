//! What one pass over data found.

use crate::{Predictions, Scores};

/// The result of one pass over data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// `loss` and its parts, then the chosen metrics.
    pub scores: Scores,
    /// The labels and class scores from which the metrics were computed.
    pub predictions: Predictions,
    /// Duration of the pass in seconds.
    pub seconds: f64,
}
