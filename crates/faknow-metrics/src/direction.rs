//! Whether higher or lower values are better.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether higher or lower values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Higher is better, as for accuracy.
    Maximize,
    /// Lower is better, as for a loss.
    Minimize,
}

impl Direction {
    /// Returns whether `a` is strictly better than `b`; false if either is NaN.
    pub fn is_better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Maximize => a > b,
            Self::Minimize => a < b,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Direction::{self, Maximize, Minimize};

    #[test]
    fn is_better_is_strict_and_false_for_nan() {
        let check = |direction: Direction, a: f64, b: f64, expected: bool| {
            assert_eq!(direction.is_better(a, b), expected, "{direction} {a} {b}");
        };
        check(Maximize, 2.0, 1.0, true);
        check(Maximize, 1.0, 1.0, false);
        check(Maximize, 1.0, 2.0, false);
        check(Minimize, 1.0, 2.0, true);
        check(Minimize, 1.0, 1.0, false);
        check(Minimize, 2.0, 1.0, false);
        for direction in [Maximize, Minimize] {
            check(direction, f64::NAN, 1.0, false);
            check(direction, 1.0, f64::NAN, false);
        }
        check(Minimize, f64::NEG_INFINITY, 0.0, true);
    }

    #[test]
    fn serializes_in_snake_case() {
        assert_eq!(serde_json::to_string(&Maximize).unwrap(), "\"maximize\"");
        assert_eq!(serde_json::from_str::<Direction>("\"minimize\"").unwrap(), Minimize);
    }
}
