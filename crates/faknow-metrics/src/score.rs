//! The value of a metric, or the reason why it is undefined.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of a metric, or the reason why it is undefined.
///
/// Serialized as its [`value`](Score::value): a number, or null.
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
    /// The value; finite if created by `From<f64>`.
    Defined(f64),
    /// The metric is undefined for these predictions, for example because of a division by zero.
    Undefined {
        /// Why it is undefined.
        reason: String,
        /// The value used instead by convention (scikit-learn's `zero_division=0`), if there is one.
        convention: Option<f64>,
    },
}

impl Score {
    /// Creates an undefined score without a conventional value.
    pub fn undefined(reason: impl Into<String>) -> Self {
        Self::Undefined { reason: reason.into(), convention: None }
    }

    /// Creates an undefined score for which `convention` is used by convention.
    pub fn undefined_or(reason: impl Into<String>, convention: f64) -> Self {
        Self::Undefined { reason: reason.into(), convention: Some(convention) }
    }

    /// Returns the value if it is defined, else the conventional value.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Defined(value) => Some(*value),
            Self::Undefined { convention, .. } => *convention,
        }
    }

    /// Returns the value if it is defined; never the conventional value.
    pub fn defined(&self) -> Option<f64> {
        match self {
            Self::Defined(value) => Some(*value),
            Self::Undefined { .. } => None,
        }
    }

    /// Returns whether the value is defined.
    pub fn is_defined(&self) -> bool {
        matches!(self, Self::Defined(_))
    }

    /// Returns why the value is undefined; `None` if it is defined.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Defined(_) => None,
            Self::Undefined { reason, .. } => Some(reason),
        }
    }
}

/// NaN and infinity become undefined.
impl From<f64> for Score {
    fn from(value: f64) -> Self {
        if value.is_finite() {
            Self::Defined(value)
        } else {
            Self::undefined(format!("expected a finite number, got {value}"))
        }
    }
}

/// Six decimals; a conventional value is followed by the reason.
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
        // JSON has no NaN and no infinity.
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
        let restored: Score = serde_json::from_str(json).unwrap();
        assert_eq!(restored.value(), value, "{shown}");
    }

    #[test]
    fn value_text_and_json_agree() {
        check(Score::from(0.5), Some(0.5), "0.500000", "0.5");
        check(Score::from(-3.0), Some(-3.0), "-3.000000", "-3.0");
        check(Score::undefined("one class only"), None, "undefined", "null");
        check(Score::undefined_or("0/0", 0.0), Some(0.0), "0.000000 (undefined: 0/0)", "0.0");
        check(Score::from(f64::NAN), None, "undefined", "null");
        check(Score::from(f64::INFINITY), None, "undefined", "null");
    }

    #[test]
    fn non_finite_numbers_are_undefined_with_a_reason() {
        assert_eq!(Score::from(f64::NAN).reason(), Some("expected a finite number, got NaN"));
        assert_eq!(Score::from(1.0).reason(), None);
        assert_eq!(serde_json::to_string(&Score::Defined(f64::NAN)).unwrap(), "null");
    }

    #[test]
    fn deserializes_integers() {
        assert_eq!(serde_json::from_str::<Score>("1").unwrap(), Score::Defined(1.0));
    }
}
