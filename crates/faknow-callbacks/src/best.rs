//! Which validation was the best: strictly better, finite, and nothing else.

use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};

/// Keeps the best score of a series: the first that no other beats.
///
/// A score is a new best if it is finite and strictly better than the best so far. Ties keep the earlier one, and
/// no minimal difference plays a part: that belongs to early stopping alone (see [`Stopper`](crate::Stopper)).
///
/// ```
/// use faknow_callbacks::BestTracker;
/// use faknow_metrics::Direction;
///
/// let mut best = BestTracker::new(Direction::Maximize);
/// assert!(best.observe(Some(0.7)));
/// assert!(!best.observe(Some(0.7)));
/// assert!(!best.observe(Some(f64::NAN)));
/// assert_eq!(best.best(), Some(0.7));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestTracker {
    direction: Direction,
    best: Option<f64>,
}

impl BestTracker {
    /// A tracker that has seen nothing.
    pub fn new(direction: Direction) -> Self {
        Self { direction, best: None }
    }

    /// Takes the next score (`None` if it is undefined) and answers whether it is the best so far.
    pub fn observe(&mut self, value: Option<f64>) -> bool {
        let Some(value) = value.filter(|v| v.is_finite()) else { return false };
        let is_best = self.best.is_none_or(|best| self.direction.better(value, best));
        if is_best {
            self.best = Some(value);
        }
        is_best
    }

    /// The best score so far; `None` before the first finite one.
    pub fn best(&self) -> Option<f64> {
        self.best
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
}
