//! Intervals and limits of a run, in epochs, steps, samples or seconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An interval of a run: `5 steps`, `0.5 epochs`, `1000 samples`, `10 minutes`.
///
/// The text form, which configs use, is a number and a unit: `epochs`, `steps`, `samples`, `seconds`, `minutes` or
/// `hours`, each also in the singular. Steps are updates of the weights. Steps and samples are integers.
///
/// ```
/// use faknow_callbacks::{Timestamp, Interval, IntervalUnit};
///
/// let every: Interval = "100 steps".parse()?;
/// assert_eq!((every.amount(), every.unit()), (100.0, IntervalUnit::Steps));
/// let step = |steps| Timestamp { steps, ..Timestamp::default() };
/// assert!(every.is_due(&step(199), &step(200)));
/// assert!(!every.is_due(&step(200), &step(201)));
/// # Ok::<(), faknow_callbacks::ParseIntervalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    amount: f64,
    unit: IntervalUnit,
}

/// The unit of an [`Interval`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalUnit {
    /// Passes over the training data.
    Epochs,
    /// Updates of the weights.
    Steps,
    /// Training samples.
    Samples,
    /// Seconds of the fit, including those before an interruption.
    Seconds,
}

/// The progress of a run in every unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timestamp {
    /// Completed epochs, with the completed fraction of the current one.
    pub epochs: f64,
    /// Updates of the weights.
    pub steps: u64,
    /// Training samples.
    pub samples: u64,
    /// Seconds of the fit.
    pub seconds: f64,
}

impl Interval {
    /// Creates an interval in epochs.
    pub const fn epochs(amount: f64) -> Self {
        Self { amount, unit: IntervalUnit::Epochs }
    }

    /// Creates an interval in steps (updates of the weights).
    pub const fn steps(amount: u64) -> Self {
        Self { amount: amount as f64, unit: IntervalUnit::Steps }
    }

    /// Creates an interval in training samples.
    pub const fn samples(amount: u64) -> Self {
        Self { amount: amount as f64, unit: IntervalUnit::Samples }
    }

    /// Creates an interval in seconds.
    pub const fn seconds(amount: f64) -> Self {
        Self { amount, unit: IntervalUnit::Seconds }
    }

    /// Returns the amount in the interval's unit.
    pub fn amount(&self) -> f64 {
        self.amount
    }

    /// Returns the unit.
    pub fn unit(&self) -> IntervalUnit {
        self.unit
    }

    /// Returns whether the amount is finite, above 0, and an integer for steps and samples.
    pub fn is_valid(&self) -> bool {
        let is_divisible = !matches!(self.unit, IntervalUnit::Steps | IntervalUnit::Samples);
        self.amount.is_finite() && self.amount > 0.0 && (is_divisible || self.amount.fract() == 0.0)
    }

    /// Returns whether the run reached a multiple of the interval between `before` (exclusive) and `now` (inclusive).
    pub fn is_due(&self, before: &Timestamp, now: &Timestamp) -> bool {
        self.n_complete(now) > self.n_complete(before)
    }

    /// Returns whether a run at `now` is at least as long as the interval.
    pub fn is_reached(&self, now: &Timestamp) -> bool {
        self.n_complete(now) >= 1.0
    }

    /// Returns the number of complete intervals up to `now`. The small summand corrects quotients that rounding puts just
    /// below an integer, such as 0.3 / 0.1.
    fn n_complete(&self, now: &Timestamp) -> f64 {
        let length = match self.unit {
            IntervalUnit::Epochs => now.epochs,
            IntervalUnit::Steps => now.steps as f64,
            IntervalUnit::Samples => now.samples as f64,
            IntervalUnit::Seconds => now.seconds,
        };
        (length / self.amount + 1e-9).floor()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            IntervalUnit::Epochs => "epoch",
            IntervalUnit::Steps => "step",
            IntervalUnit::Samples => "sample",
            IntervalUnit::Seconds => "second",
        };
        write!(f, "{} {unit}{}", self.amount, if self.amount == 1.0 { "" } else { "s" })
    }
}

impl FromStr for Interval {
    type Err = ParseIntervalError;

    fn from_str(text: &str) -> Result<Self, ParseIntervalError> {
        let error = || ParseIntervalError { text: text.to_owned() };
        let trimmed = text.trim();
        let unit_start = trimmed.find(|c: char| c.is_alphabetic()).ok_or_else(error)?;
        let (amount, unit) = trimmed.split_at(unit_start);
        let amount: f64 = amount.trim().parse().map_err(|_| error())?;
        let (factor, unit) = match unit.strip_suffix('s').unwrap_or(unit) {
            "epoch" => (1.0, IntervalUnit::Epochs),
            "step" => (1.0, IntervalUnit::Steps),
            "sample" => (1.0, IntervalUnit::Samples),
            "second" => (1.0, IntervalUnit::Seconds),
            "minute" => (60.0, IntervalUnit::Seconds),
            "hour" => (3600.0, IntervalUnit::Seconds),
            _ => return Err(error()),
        };
        Some(Self { amount: amount * factor, unit }).filter(Self::is_valid).ok_or_else(error)
    }
}

/// The error of parsing an [`Interval`] from a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {}, got `{text}`", Self::EXPECTED)]
pub struct ParseIntervalError {
    text: String,
}

impl ParseIntervalError {
    /// Description of a valid interval.
    pub const EXPECTED: &str =
        "a number above 0 and a unit (epochs, steps, samples, seconds, minutes, hours), as in `5 steps`";

    /// Returns the invalid text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Conversion into an [`Interval`], from an interval or from a text.
///
/// ```
/// use faknow_callbacks::{Interval, IntoInterval};
///
/// assert_eq!("500 steps".into_interval()?, Interval::steps(500));
/// # Ok::<(), faknow_callbacks::ParseIntervalError>(())
/// ```
pub trait IntoInterval {
    /// Converts the value into an interval.
    ///
    /// # Errors
    /// The text is not a valid interval.
    fn into_interval(self) -> Result<Interval, ParseIntervalError>;
}

impl IntoInterval for Interval {
    fn into_interval(self) -> Result<Interval, ParseIntervalError> {
        Ok(self)
    }
}

impl IntoInterval for &str {
    fn into_interval(self) -> Result<Interval, ParseIntervalError> {
        self.parse()
    }
}

impl IntoInterval for String {
    fn into_interval(self) -> Result<Interval, ParseIntervalError> {
        self.parse()
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_formats_intervals() {
        let check = |text: &str, expected: Interval, written: &str| {
            let interval: Interval = text.parse().unwrap();
            assert_eq!(interval, expected, "{text}");
            assert_eq!(interval.to_string(), written);
            assert_eq!(written.parse::<Interval>().unwrap(), expected);
        };
        check("5 steps", Interval::steps(5), "5 steps");
        check(" 1 epoch ", Interval::epochs(1.0), "1 epoch");
        check("0.25epochs", Interval::epochs(0.25), "0.25 epochs");
        check("10 minutes", Interval::seconds(600.0), "600 seconds");
        check("1.5 hours", Interval::seconds(5400.0), "5400 seconds");
        check("1000 samples", Interval::samples(1000), "1000 samples");
        for invalid in
            ["", "5", "steps", "0 steps", "-1 epochs", "1.5 steps", "nan epochs", "inf hours", "5 weeks"]
        {
            let error = invalid.parse::<Interval>().unwrap_err();
            let error = error.to_string();
            assert!(error.contains("as in `5 steps`") && error.ends_with(&format!("`{invalid}`")), "{error}");
        }
    }

    #[test]
    fn is_due_once_per_multiple() {
        let check = |text: &str, timestamps: &[Timestamp], expected: &[bool]| {
            let interval: Interval = text.parse().unwrap();
            let due: Vec<bool> =
                timestamps.windows(2).map(|pair| interval.is_due(&pair[0], &pair[1])).collect();
            assert_eq!(due, expected, "{interval}");
        };
        let epochs = |epochs: &[f64]| -> Vec<Timestamp> {
            epochs.iter().map(|&epochs| Timestamp { epochs, ..Timestamp::default() }).collect()
        };
        check("1 epoch", &epochs(&[0.0, 0.5, 1.0, 1.5, 2.0]), &[false, true, false, true]);
        check("2 epochs", &epochs(&[0.0, 1.0, 2.0, 3.0, 4.0]), &[false, true, false, true]);
        check("0.1 epochs", &epochs(&[0.0, 0.1, 0.2, 0.3, 0.30001]), &[true, true, true, false]);
        let samples = [0, 90, 180, 400].map(|samples| Timestamp { samples, ..Timestamp::default() });
        check("100 samples", &samples, &[false, true, true]);
        assert!(Interval::seconds(2.0).is_reached(&Timestamp { seconds: 2.5, ..Timestamp::default() }));
        assert!(!Interval::steps(3).is_reached(&Timestamp { steps: 2, ..Timestamp::default() }));
    }
}
