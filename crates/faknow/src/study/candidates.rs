//! The values that a search tries for one setting.

use faknow_data::Rng;
use toml::{Table, Value};

use crate::{Error, Result};

/// The values of one setting.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Candidates {
    /// Each of these.
    Choices(Vec<Value>),
    /// Whole numbers from `low` to `high`, both included.
    Integers {
        /// The least.
        low: i64,
        /// The greatest.
        high: i64,
        /// Whether their logarithm is drawn evenly, rather than they themselves; `low` is above 0 then.
        log: bool,
    },
    /// Numbers from `low` to `high`, drawn with four significant digits.
    Numbers {
        /// The least.
        low: f64,
        /// The greatest.
        high: f64,
        /// Whether their logarithm is drawn evenly, rather than they themselves; `low` is above 0 then.
        log: bool,
    },
}

impl Candidates {
    /// Whether a table is a range, rather than the settings of a part.
    pub(crate) fn is_range(table: &Table) -> bool {
        ["low", "high", "log"].iter().any(|key| table.contains_key(*key))
    }

    /// The values that a setting has in a file.
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

    /// Listed values.
    pub(crate) fn choices(name: &str, choices: Vec<Value>) -> Result<Self> {
        let refuse =
            |expected: &str, got: &str| Err(Error::config(name, format!("expected {expected}, got {got}")));
        for (index, value) in choices.iter().enumerate() {
            if choices[..index].contains(value) {
                return refuse("different values", &format!("{value} twice"));
            }
            // Neither has a form in JSON, in which a search keeps its trials.
            if value.as_float().is_some_and(|number| !number.is_finite()) {
                return refuse("finite numbers", &value.to_string());
            }
        }
        if choices.is_empty() { refuse("at least one value", "none") } else { Ok(Self::Choices(choices)) }
    }

    fn range(name: &str, table: &Table) -> Result<Self> {
        let refuse = || {
            let expected =
                "low below high, above 0 with log = true, as in { low = 1e-5, high = 1e-2, log = true }";
            Error::config(name, format!("expected {expected}, got {}", Value::Table(table.clone())))
        };
        let log = table.get("log").map_or(Some(false), Value::as_bool).ok_or_else(refuse)?;
        if table.keys().any(|key| !["low", "high", "log"].contains(&key.as_str())) {
            return Err(refuse());
        }
        let (Some(low), Some(high)) = (table.get("low"), table.get("high")) else { return Err(refuse()) };
        if let (Some(low), Some(high)) = (low.as_integer(), high.as_integer()) {
            let fits = low < high && (low > 0 || !log);
            return if fits { Ok(Self::Integers { low, high, log }) } else { Err(refuse()) };
        }
        let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|n| n as f64));
        let (Some(low), Some(high)) = (number(low), number(high)) else { return Err(refuse()) };
        let fits = low.is_finite() && high.is_finite() && low < high && (low > 0.0 || !log);
        if fits { Ok(Self::Numbers { low, high, log }) } else { Err(refuse()) }
    }

    /// One of them.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Value {
        match self {
            Self::Choices(choices) => rng.choose(choices).cloned().unwrap_or(Value::Boolean(false)),
            Self::Integers { low, high, log: false } => {
                let n = usize::try_from(high.abs_diff(*low)).unwrap_or(usize::MAX).saturating_add(1);
                Value::Integer(low.saturating_add_unsigned(rng.below(n) as u64))
            }
            // Each whole number has the part of the logarithm up to the next.
            Self::Integers { low, high, log: true } => {
                let drawn = logarithmic(rng, *low as f64, *high as f64 + 1.0);
                Value::Integer((drawn.floor() as i64).clamp(*low, *high))
            }
            Self::Numbers { low, high, log } => {
                let drawn =
                    if *log { logarithmic(rng, *low, *high) } else { low + rng.uniform() * (high - low) };
                // So many digits are enough, can be read, and are the same where `exp` differs in the last bit.
                let rounded = format!("{drawn:.3e}").parse().unwrap_or(drawn);
                Value::Float(rounded.clamp(*low, *high))
            }
        }
    }

    /// Their form in a file.
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

/// A number whose logarithm is drawn evenly.
fn logarithmic(rng: &mut Rng, low: f64, high: f64) -> f64 {
    (low.ln() + rng.uniform() * (high.ln() - low.ln())).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_of_whole_numbers_are_drawn_evenly_too() {
        let range = Candidates::Integers { low: 1, high: 1023, log: true };
        let mut rng = Rng::new(3);
        let drawn: Vec<i64> = (0..1000).map(|_| range.draw(&mut rng).as_integer().unwrap()).collect();
        assert!(drawn.iter().all(|n| (1..=1023).contains(n)));
        let below_32 = drawn.iter().filter(|n| **n < 32).count();
        assert!((450..=550).contains(&below_32), "{below_32}");
    }
}
