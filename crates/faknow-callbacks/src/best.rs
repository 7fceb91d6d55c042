//! The comparison of scores used for the best epoch, early stopping, retained checkpoints and plateau schedules.

use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};

/// Tracks the best score of a series.
///
/// A score is better if it is finite and there is no best score yet, or if it improves on the best score in the given
/// direction by strictly more than the [`Margin`]. An undefined or non-finite score is never better; ties keep the earlier score.
///
/// ```
/// use faknow_callbacks::{BestTracker, Margin};
/// use faknow_metrics::Direction;
///
/// let mut best = BestTracker::new(Direction::Maximize);
/// assert!(best.observe(Some(0.7)));
/// assert!(!best.observe(Some(0.7)));
/// assert!(!best.observe(Some(f64::NAN)));
/// assert_eq!(best.best(), Some(0.7));
///
/// let mut best = BestTracker::new(Direction::Minimize).margin(Margin::Absolute(0.1));
/// assert!(best.observe(Some(0.7)));
/// assert!(!best.observe(Some(0.65)));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestTracker {
    direction: Direction,
    margin: Margin,
    best: Option<f64>,
}

/// The improvement over the best score that a score must exceed to count as better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// An absolute difference, at least 0.
    Absolute(f64),
    /// A fraction of the best score, at least 0.
    Relative(f64),
}

impl BestTracker {
    /// Creates a tracker without a best score and with an absolute margin of 0.
    pub fn new(direction: Direction) -> Self {
        Self { direction, margin: Margin::Absolute(0.0), best: None }
    }

    /// Sets the margin. Default: an absolute difference of 0.
    #[must_use]
    pub fn margin(mut self, margin: Margin) -> Self {
        self.margin = margin;
        self
    }

    /// Returns whether `score` (`None` if it is undefined) is better than the best so far.
    pub fn is_better(&self, score: Option<f64>) -> bool {
        let Some(score) = score.filter(|score| score.is_finite()) else { return false };
        self.best.is_none_or(|best| self.direction.is_better(score, self.threshold(best)))
    }

    /// Adds the next score (`None` if it is undefined) and returns whether it is the new best.
    pub fn observe(&mut self, score: Option<f64>) -> bool {
        let is_better = self.is_better(score);
        if is_better {
            self.best = score;
        }
        is_better
    }

    /// Returns the best score so far; `None` before the first finite one.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// Restores a saved best score; `None` or a non-finite value resets it.
    pub fn restore(&mut self, best: Option<f64>) {
        self.best = best.filter(|best| best.is_finite());
    }

    /// Returns the value that a score must exceed in the given direction.
    fn threshold(&self, best: f64) -> f64 {
        let sign = match self.direction {
            Direction::Maximize => 1.0,
            Direction::Minimize => -1.0,
        };
        match self.margin {
            Margin::Absolute(difference) => best + sign * difference,
            Margin::Relative(share) => best * (1.0 + sign * share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_score_is_finite_and_strictly_better() {
        let check = |direction, scores: &[f64], expected: &[bool], best: Option<f64>| {
            let mut tracker = BestTracker::new(direction);
            let observed: Vec<bool> = scores.iter().map(|&s| tracker.observe(Some(s))).collect();
            assert_eq!(observed, expected, "{scores:?}");
            assert_eq!(tracker.best(), best, "{scores:?}");
            assert!(!tracker.observe(None), "{scores:?}");
        };
        check(Direction::Maximize, &[], &[], None);
        check(Direction::Maximize, &[0.5, 0.5, 0.6], &[true, false, true], Some(0.6));
        check(Direction::Minimize, &[0.5, 0.5, 0.4], &[true, false, true], Some(0.4));
        // Negative scores have a best score too.
        check(Direction::Maximize, &[-2.0, -1.0, -3.0], &[true, true, false], Some(-1.0));
        // A first score of NaN does not remain the best.
        check(Direction::Maximize, &[f64::NAN, 0.1], &[false, true], Some(0.1));
        check(Direction::Minimize, &[f64::NEG_INFINITY, 3.0], &[false, true], Some(3.0));
    }

    #[test]
    fn improvement_must_exceed_margin() {
        let check = |direction, margin, scores: &[f64], expected: &[bool]| {
            let mut tracker = BestTracker::new(direction).margin(margin);
            let observed: Vec<bool> = scores.iter().map(|&s| tracker.observe(Some(s))).collect();
            assert_eq!(observed, expected, "{margin:?} {scores:?}");
        };
        check(Direction::Maximize, Margin::Absolute(0.5), &[1.0, 1.5, 1.75], &[true, false, true]);
        check(Direction::Minimize, Margin::Absolute(0.5), &[1.0, 0.5, 0.25], &[true, false, true]);
        check(Direction::Maximize, Margin::Relative(0.5), &[2.0, 3.0, 3.5], &[true, false, true]);
        check(Direction::Minimize, Margin::Relative(0.5), &[2.0, 1.0, 0.75], &[true, false, true]);
    }
}
