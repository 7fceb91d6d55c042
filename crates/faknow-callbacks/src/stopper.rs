//! The rule of early stopping, apart from any run: a series of scores in, "stop" out.

use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};

/// Counts validations without an improvement and says when there were enough.
///
/// A score improves if it is finite and there is no reference yet, or if it is better than the reference by
/// strictly more than `min_delta`; the reference is the last score that improved. An improvement resets the
/// counter, anything else (an undefined score too) adds one, and the run stops when the counter reaches `patience`.
/// The whole state is plain data, for own loops that save and restore it.
///
/// ```
/// use faknow_callbacks::Stopper;
/// use faknow_metrics::Direction;
///
/// let mut stopper = Stopper::new(Direction::Maximize, 2, 0.0);
/// let stops: Vec<bool> = [0.5, 0.6, 0.6, 0.55].iter().map(|&f1| stopper.observe(Some(f1))).collect();
/// assert_eq!(stops, [false, false, false, true]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stopper {
    direction: Direction,
    patience: usize,
    min_delta: f64,
    reference: Option<f64>,
    n_bad: usize,
}

impl Stopper {
    /// A stopper that has seen nothing; `patience` counts validations, `min_delta` is at least 0.
    ///
    /// Nothing is checked here: with a patience of 0 the first validation without an improvement stops, as with 1
    /// ([`EarlyStopping`](crate::EarlyStopping) refuses it).
    pub fn new(direction: Direction, patience: usize, min_delta: f64) -> Self {
        Self { direction, patience, min_delta, reference: None, n_bad: 0 }
    }

    /// Takes the next score (`None` if it is undefined) and answers whether to stop now.
    pub fn observe(&mut self, score: Option<f64>) -> bool {
        match score.filter(|s| s.is_finite()) {
            Some(score) if self.improves(score) => {
                self.reference = Some(score);
                self.n_bad = 0;
                false
            }
            _ => {
                self.n_bad += 1;
                self.n_bad >= self.patience
            }
        }
    }

    /// Puts the counter back to where it stood, with the settings of now.
    pub fn go_on_from(&mut self, reference: Option<f64>, n_bad: usize) {
        self.reference = reference;
        self.n_bad = n_bad;
    }

    /// Validations in a row without an improvement.
    pub fn n_bad(&self) -> usize {
        self.n_bad
    }

    /// The last score that improved.
    pub fn reference(&self) -> Option<f64> {
        self.reference
    }

    fn improves(&self, score: f64) -> bool {
        let Some(reference) = self.reference else { return true };
        let gain = match self.direction {
            Direction::Maximize => score - reference,
            Direction::Minimize => reference - score,
        };
        gain > self.min_delta
    }
}
