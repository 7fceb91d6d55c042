//! The candidate values of a setting in a search.

use faknow_data::Rng;
use toml::{Table, Value};

use crate::{Error, Result};

/// The candidate values of a setting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Candidates {
    /// A list of values.
    Choices(Vec<Value>),
    /// Integers from `low` to `high`, both inclusive.
    Integers {
        /// Minimum.
        low: i64,
        /// Maximum.
        high: i64,
        /// Whether values are drawn from the log-uniform instead of the uniform distribution, which requires `low` above 0.
        log: bool,
    },
    /// Numbers from `low` to `high`, rounded to four significant digits.
    Numbers {
        /// Minimum.
        low: f64,
        /// Maximum.
        high: f64,
        /// Whether values are drawn from the log-uniform instead of the uniform distribution, which requires `low` above 0.
        log: bool,
    },
}

impl Candidates {
    /// Returns whether a table is a range rather than a table of settings.
    pub(crate) fn is_range(table: &Table) -> bool {
        ["low", "high", "log"].iter().any(|key| table.contains_key(*key))
    }

    /// Parses the candidates of a setting in a file.
    pub(crate) fn from_value(name: &str, value: Value) -> Result<Self> {
        match value {
            Value::Array(choices) => Self::choices(name, choices),
            Value::Table(table) => Self::range(name, &table),
            other => {
                let expected = "a list of values, or a range as in { low = 1e-5, high = 1e-2, log = true }";
                Err(Error::config(name, format!("expected {expected}, got {other}")))
            }
        }
    }

    /// Creates candidates from a list of values.
    pub(crate) fn choices(name: &str, choices: Vec<Value>) -> Result<Self> {
        let error =
            |expected: &str, got: &str| Err(Error::config(name, format!("expected {expected}, got {got}")));
        for (index, value) in choices.iter().enumerate() {
            if choices[..index].contains(value) {
                return error("different values", &format!("{value} twice"));
            }
            // JSON, the format of the search state, does not support NaN and infinities.
            if value.as_float().is_some_and(|number| !number.is_finite()) {
                return error("finite numbers", &value.to_string());
            }
        }
        if choices.is_empty() { error("at least one value", "none") } else { Ok(Self::Choices(choices)) }
    }

    fn range(name: &str, table: &Table) -> Result<Self> {
        let error = || {
            let expected =
                "low below high, above 0 with log = true, as in { low = 1e-5, high = 1e-2, log = true }";
            Error::config(name, format!("expected {expected}, got {}", Value::Table(table.clone())))
        };
        let log = table.get("log").map_or(Some(false), Value::as_bool).ok_or_else(error)?;
        if table.keys().any(|key| !["low", "high", "log"].contains(&key.as_str())) {
            return Err(error());
        }
        let (Some(low), Some(high)) = (table.get("low"), table.get("high")) else { return Err(error()) };
        if let (Some(low), Some(high)) = (low.as_integer(), high.as_integer()) {
            let is_valid = low < high && (low > 0 || !log);
            return if is_valid { Ok(Self::Integers { low, high, log }) } else { Err(error()) };
        }
        let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        let (Some(low), Some(high)) = (number(low), number(high)) else { return Err(error()) };
        let is_valid = low.is_finite() && high.is_finite() && low < high && (low > 0.0 || !log);
        if is_valid { Ok(Self::Numbers { low, high, log }) } else { Err(error()) }
    }

    /// Draws a value.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Value {
        match self {
            Self::Choices(choices) => rng.choose(choices).cloned().unwrap_or(Value::Boolean(false)),
            Self::Integers { low, high, log: false } => {
                let n = usize::try_from(high.abs_diff(*low)).unwrap_or(usize::MAX).saturating_add(1);
                Value::Integer(low.saturating_add_unsigned(rng.below(n) as u64))
            }
            // An integer represents the interval up to the next one.
            Self::Integers { low, high, log: true } => {
                let value = log_uniform(rng, *low as f64, *high as f64 + 1.0);
                Value::Integer((value.floor() as i64).clamp(*low, *high))
            }
            Self::Numbers { low, high, log } => {
                let value =
                    if *log { log_uniform(rng, *low, *high) } else { low + rng.uniform() * (high - low) };
                // Rounding makes values readable, and independent of the platform's `exp`.
                let rounded = format!("{value:.3e}").parse().unwrap_or(value);
                Value::Float(rounded.clamp(*low, *high))
            }
        }
    }

    /// Converts the candidates to TOML.
    pub(crate) fn into_value(self) -> Value {
        let range = |low: Value, high: Value, log: bool| {
            let entries = [("low", low), ("high", high), ("log", Value::Boolean(log))];
            Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        match self {
            Self::Choices(choices) => Value::Array(choices),
            Self::Integers { low, high, log } => range(low.into(), high.into(), log),
            Self::Numbers { low, high, log } => range(low.into(), high.into(), log),
        }
    }
}

/// Draws a number from the log-uniform distribution.
fn log_uniform(rng: &mut Rng, low: f64, high: f64) -> f64 {
    (low.ln() + rng.uniform() * (high.ln() - low.ln())).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_integers_log_uniformly() {
        let range = Candidates::Integers { low: 1, high: 1023, log: true };
        let mut rng = Rng::new(3);
        let drawn: Vec<i64> = (0..1000).map(|_| range.draw(&mut rng).as_integer().unwrap()).collect();
        assert!(drawn.iter().all(|n| (1..=1023).contains(n)));
        let below_32 = drawn.iter().filter(|n| **n < 32).count();
        assert!((450..=550).contains(&below_32), "{below_32}");
    }
}
