//! One value of a metric, or the reason why there is none.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of a metric, or an explicit statement that it has none.
///
/// As data (JSON, TOML, …) a score is its [`value`](Score::value): a number, or null.
///
/// ```
/// use faknow_metrics::Score;
///
/// let precision = Score::undefined_or("class 1 is never predicted", 0.0);
/// assert!(!precision.is_defined());
/// assert_eq!(precision.value(), Some(0.0));
/// assert_eq!(precision.to_string(), "0.000000 (undefined: class 1 is never predicted)");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Score {
    /// The value; finite when made by `From<f64>`.
    Defined(f64),
    /// The formula has no value for these predictions, for example because it divides zero by zero.
    Undefined {
        /// Why there is none.
        reason: String,
        /// The number that is customarily used instead (scikit-learn's `zero_division=0`), if there is one.
        convention: Option<f64>,
    },
}

impl Score {
    /// No value, and none that is customarily used instead.
    pub fn undefined(reason: impl Into<String>) -> Self {
        Self::Undefined { reason: reason.into(), convention: None }
    }

    /// No value, but by convention `convention` is used instead.
    pub fn undefined_or(reason: impl Into<String>, convention: f64) -> Self {
        Self::Undefined { reason: reason.into(), convention: Some(convention) }
    }

    /// The defined value, else the convention.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Defined(value) => Some(*value),
            Self::Undefined { convention, .. } => *convention,
        }
    }

    /// The defined value; no convention takes its place.
    pub fn defined(&self) -> Option<f64> {
        match self {
            Self::Defined(value) => Some(*value),
            Self::Undefined { .. } => None,
        }
    }

    /// Whether the formula has a value.
    pub fn is_defined(&self) -> bool {
        matches!(self, Self::Defined(_))
    }

    /// Why there is no value; `None` if there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Defined(_) => None,
            Self::Undefined { reason, .. } => Some(reason),
        }
    }
}

/// A number that is not finite becomes undefined.
impl From<f64> for Score {
    fn from(value: f64) -> Self {
        if value.is_finite() {
            Self::Defined(value)
        } else {
            Self::undefined(format!("the value is {value}, not a finite number"))
        }
    }
}

/// Six decimals; a customary value is followed by the reason why it is only that.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defined(value) => write!(f, "{value:.6}"),
            Self::Undefined { reason, convention: Some(value) } => {
                write!(f, "{value:.6} (undefined: {reason})")
            }
            Self::Undefined { .. } => f.write_str("undefined"),
        }
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // JSON has no NaN and no infinity; null says the same in every format.
        self.value().filter(|value| value.is_finite()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::<f64>::deserialize(deserializer)? {
            Some(value) => Self::from(value),
            None => Self::undefined("recorded as undefined"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(score: Score, value: Option<f64>, shown: &str, json: &str) {
        assert_eq!(score.value(), value, "{shown}");
        assert_eq!(score.to_string(), shown);
        assert_eq!(serde_json::to_string(&score).unwrap(), json, "{shown}");
        let back: Score = serde_json::from_str(json).unwrap();
        assert_eq!(back.value(), value, "{shown}");
    }

    #[test]
    fn values_text_and_json() {
        check(Score::from(0.5), Some(0.5), "0.500000", "0.5");
        check(Score::from(-3.0), Some(-3.0), "-3.000000", "-3.0");
        check(Score::undefined("one class only"), None, "undefined", "null");
        check(Score::undefined_or("0/0", 0.0), Some(0.0), "0.000000 (undefined: 0/0)", "0.0");
        check(Score::from(f64::NAN), None, "undefined", "null");
        check(Score::from(f64::INFINITY), None, "undefined", "null");
    }

    #[test]
    fn a_number_that_is_not_finite_is_undefined_with_its_reason() {
        assert_eq!(Score::from(f64::NAN).reason(), Some("the value is NaN, not a finite number"));
        assert_eq!(Score::from(1.0).reason(), None);
        assert_eq!(serde_json::to_string(&Score::Defined(f64::NAN)).unwrap(), "null");
    }

    #[test]
    fn whole_numbers_are_read_as_scores() {
        assert_eq!(serde_json::from_str::<Score>("1").unwrap(), Score::Defined(1.0));
    }
}
