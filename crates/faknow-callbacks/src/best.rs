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
        let cases: [(Direction, &[Option<f64>], &[bool], Option<f64>); 6] = [
            (Direction::Maximize, &[], &[], None),
            (Direction::Maximize, &[Some(0.5), Some(0.5), Some(0.6)], &[true, false, true], Some(0.6)),
            (Direction::Minimize, &[Some(0.5), Some(0.5), Some(0.4)], &[true, false, true], Some(0.4)),
            // A score that never exceeds zero still has a best.
            (Direction::Maximize, &[Some(-2.0), Some(-1.0), Some(-3.0)], &[true, true, false], Some(-1.0)),
            // A first value that is not a number must not stay best for ever.
            (Direction::Maximize, &[Some(f64::NAN), None, Some(0.1)], &[false, false, true], Some(0.1)),
            (Direction::Minimize, &[Some(f64::NEG_INFINITY), Some(3.0)], &[false, true], Some(3.0)),
        ];
        for (direction, scores, expected, best) in cases {
            let mut tracker = BestTracker::new(direction);
            let observed: Vec<bool> = scores.iter().map(|&s| tracker.observe(s)).collect();
            assert_eq!(observed, expected, "{scores:?}");
            assert_eq!(tracker.best(), best, "{scores:?}");
        }
    }
}
