//! Whether a score is better: one rule for the best epoch, early stopping, retained checkpoints and plateaus.

use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};

/// Remembers the best score of a series and decides whether another one is better.
///
/// A score is better if it is finite and there is no best yet, or if it beats the best in the given direction by
/// strictly more than the [`Margin`]. An undefined or non-finite score is never better; ties keep the earlier score.
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

/// By how much a score must beat the best to count as better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// By strictly more than this difference, at least 0.
    Absolute(f64),
    /// By strictly more than this share of the best, at least 0.
    Relative(f64),
}

impl BestTracker {
    /// Creates a tracker without a best score; any difference counts.
    pub fn new(direction: Direction) -> Self {
        Self { direction, margin: Margin::Absolute(0.0), best: None }
    }

    /// Sets by how much a score must be better. Default: any difference counts.
    #[must_use]
    pub fn margin(mut self, margin: Margin) -> Self {
        self.margin = margin;
        self
    }

    /// Returns whether `score` (`None` if it is undefined) is better than the best so far.
    pub fn is_better(&self, score: Option<f64>) -> bool {
        let Some(score) = score.filter(|score| score.is_finite()) else { return false };
        self.best.is_none_or(|best| self.direction.is_better(score, self.bar(best)))
    }

    /// Takes the next score (`None` if it is undefined) and returns whether it is the new best.
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

    /// Continues from a saved best score.
    pub fn restore(&mut self, best: Option<f64>) {
        self.best = best.filter(|best| best.is_finite());
    }

    /// The value that a score must beat.
    fn bar(&self, best: f64) -> f64 {
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
    fn only_a_finite_and_strictly_better_score_is_best() {
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
        // A score that never exceeds zero still has a best.
        check(Direction::Maximize, &[-2.0, -1.0, -3.0], &[true, true, false], Some(-1.0));
        // A first value that is not a number must not stay best for ever.
        check(Direction::Maximize, &[f64::NAN, 0.1], &[false, true], Some(0.1));
        check(Direction::Minimize, &[f64::NEG_INFINITY, 3.0], &[false, true], Some(3.0));
    }

    #[test]
    fn a_margin_must_be_exceeded() {
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
