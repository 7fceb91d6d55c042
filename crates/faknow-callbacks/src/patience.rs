//! The rule of early stopping, independent of a run.

use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};

use crate::{BestTracker, Margin};

/// Counts validations without an improvement and decides when to stop.
///
/// A score is an improvement as [`BestTracker`] defines it, with `min_delta` as the margin. An improvement resets the
/// counter; any other score, including an undefined one, increments it. The run should stop when the counter reaches
/// `patience`. Custom training loops can serialize and restore the state.
///
/// ```
/// use faknow_callbacks::Patience;
/// use faknow_metrics::Direction;
///
/// let mut patience = Patience::new(Direction::Maximize, 2, 0.0);
/// let stops: Vec<bool> = [0.5, 0.6, 0.6, 0.55].iter().map(|&f1| patience.observe(Some(f1))).collect();
/// assert_eq!(stops, [false, false, false, true]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patience {
    patience: usize,
    best: BestTracker,
    n_bad: usize,
}

impl Patience {
    /// Creates a counter; `patience` is a number of validations, `min_delta` is at least 0.
    ///
    /// The arguments are not checked. A patience of 0 acts as 1 ([`EarlyStopping`](crate::EarlyStopping) rejects it).
    pub fn new(direction: Direction, patience: usize, min_delta: f64) -> Self {
        let best = BestTracker::new(direction).margin(Margin::Absolute(min_delta));
        Self { patience, best, n_bad: 0 }
    }

    /// Adds the next score (`None` if it is undefined) and returns whether to stop.
    pub fn observe(&mut self, score: Option<f64>) -> bool {
        if self.best.observe(score) {
            self.n_bad = 0;
            return false;
        }
        self.n_bad += 1;
        self.n_bad >= self.patience
    }

    /// Restores a saved best score and counter; the settings remain.
    pub fn restore(&mut self, best: Option<f64>, n_bad: usize) {
        self.best.restore(best);
        self.n_bad = n_bad;
    }

    /// Returns the number of consecutive validations without an improvement.
    pub fn n_bad(&self) -> usize {
        self.n_bad
    }

    /// Returns the best score; `None` before the first finite one.
    pub fn best(&self) -> Option<f64> {
        self.best.best()
    }
}
