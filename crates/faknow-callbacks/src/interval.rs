//! One type for every interval and limit of a run: epochs, steps, samples or seconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of a run: `5 steps`, `0.5 epochs`, `1000 samples`, `10 minutes`.
///
/// As text, and so in configs, it is a number and a unit: `epochs`, `steps`, `samples`, `seconds`, `minutes` or
/// `hours`, each also in the singular. Steps are updates of the weights. Steps and samples are whole numbers.
///
/// ```
/// use faknow_callbacks::{Timestamp, Interval, IntervalUnit};
///
/// let every: Interval = "100 steps".parse()?;
/// assert_eq!((every.amount(), every.unit()), (100.0, IntervalUnit::Steps));
/// let at = |steps| Timestamp { steps, ..Timestamp::default() };
/// assert!(every.is_due(&at(199), &at(200)));
/// assert!(!every.is_due(&at(200), &at(201)));
/// # Ok::<(), faknow_callbacks::ParseIntervalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    amount: f64,
    unit: IntervalUnit,
}

/// What a [`Interval`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalUnit {
    /// Passes over the training data.
    Epochs,
    /// Updates of the weights.
    Steps,
    /// Training samples.
    Samples,
    /// Seconds of the fit, those before an interruption included.
    Seconds,
}

/// How far a run is, in every unit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timestamp {
    /// Epochs, with the share of the current one.
    pub epochs: f64,
    /// Updates of the weights.
    pub steps: u64,
    /// Training samples.
    pub samples: u64,
    /// Seconds of the fit.
    pub seconds: f64,
}

impl Interval {
    /// Returns an interval of this many epochs.
    pub const fn epochs(amount: f64) -> Self {
        Self { amount, unit: IntervalUnit::Epochs }
    }

    /// Returns an interval of this many updates of the weights.
    pub const fn steps(amount: u64) -> Self {
        Self { amount: amount as f64, unit: IntervalUnit::Steps }
    }

    /// Returns an interval of this many samples.
    pub const fn samples(amount: u64) -> Self {
        Self { amount: amount as f64, unit: IntervalUnit::Samples }
    }

    /// Returns an interval of this many seconds.
    pub const fn seconds(amount: f64) -> Self {
        Self { amount, unit: IntervalUnit::Seconds }
    }

    /// Returns the amount, in the unit.
    pub fn amount(&self) -> f64 {
        self.amount
    }

    /// Returns the unit.
    pub fn unit(&self) -> IntervalUnit {
        self.unit
    }

    /// Whether the amount is a finite number above 0, and whole where the unit cannot be divided.
    pub fn is_valid(&self) -> bool {
        let whole =
            !matches!(self.unit, IntervalUnit::Steps | IntervalUnit::Samples) || self.amount.fract() == 0.0;
        self.amount.is_finite() && self.amount > 0.0 && whole
    }

    /// Whether a multiple of the interval was reached on the way from `before` to `now`.
    pub fn is_due(&self, before: &Timestamp, now: &Timestamp) -> bool {
        self.times(now) > self.times(before)
    }

    /// Whether a run at `now` is as long as the interval, or longer.
    pub fn is_reached(&self, now: &Timestamp) -> bool {
        self.times(now) >= 1.0
    }

    /// How often the interval fits into the run so far. The small summand makes up for quotients that rounding puts
    /// just below a whole number, as that of 0.3 and 0.1.
    fn times(&self, at: &Timestamp) -> f64 {
        let so_far = match self.unit {
            IntervalUnit::Epochs => at.epochs,
            IntervalUnit::Steps => at.steps as f64,
            IntervalUnit::Samples => at.samples as f64,
            IntervalUnit::Seconds => at.seconds,
        };
        (so_far / self.amount + 1e-9).floor()
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
        let wrong = || ParseIntervalError { text: text.to_owned() };
        let trimmed = text.trim();
        let at = trimmed.find(|c: char| c.is_alphabetic()).ok_or_else(wrong)?;
        let amount: f64 = trimmed[..at].trim().parse().map_err(|_| wrong())?;
        let (factor, unit) = match trimmed[at..].strip_suffix('s').unwrap_or(&trimmed[at..]) {
            "epoch" => (1.0, IntervalUnit::Epochs),
            "step" => (1.0, IntervalUnit::Steps),
            "sample" => (1.0, IntervalUnit::Samples),
            "second" => (1.0, IntervalUnit::Seconds),
            "minute" => (60.0, IntervalUnit::Seconds),
            "hour" => (3600.0, IntervalUnit::Seconds),
            _ => return Err(wrong()),
        };
        Some(Self { amount: amount * factor, unit }).filter(Self::is_valid).ok_or_else(wrong)
    }
}

/// A text that is not an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {}, got `{text}`", Self::EXPECTED)]
pub struct ParseIntervalError {
    text: String,
}

impl ParseIntervalError {
    /// What an interval looks like.
    pub const EXPECTED: &str =
        "a number above 0 and one of epochs, steps, samples, seconds, minutes, hours, as in `5 steps`";

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// An [`Interval`], or the text of one: what settings of intervals accept.
///
/// ```
/// use faknow_callbacks::{Interval, IntoInterval};
///
/// assert_eq!("500 steps".into_interval()?, Interval::steps(500));
/// # Ok::<(), faknow_callbacks::ParseIntervalError>(())
/// ```
pub trait IntoInterval {
    /// Returns the interval.
    ///
    /// # Errors
    /// The text is not an interval.
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
    fn is_read_and_written_as_text() {
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
        for wrong in
            ["", "5", "steps", "0 steps", "-1 epochs", "1.5 steps", "nan epochs", "inf hours", "5 weeks"]
        {
            let error = wrong.parse::<Interval>().unwrap_err();
            let error = error.to_string();
            assert!(error.contains("as in `5 steps`") && error.ends_with(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn is_due_once_a_multiple() {
        let check = |text: &str, positions: &[Timestamp], expected: &[bool]| {
            let interval: Interval = text.parse().unwrap();
            let due: Vec<bool> = positions.windows(2).map(|at| interval.is_due(&at[0], &at[1])).collect();
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
