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
/// use faknow_callbacks::{Position, Span, SpanUnit};
///
/// let every: Span = "100 steps".parse()?;
/// assert_eq!((every.amount(), every.unit()), (100.0, SpanUnit::Steps));
/// let at = |steps| Position { steps, ..Position::default() };
/// assert!(every.is_due(&at(199), &at(200)));
/// assert!(!every.is_due(&at(200), &at(201)));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    amount: f64,
    unit: SpanUnit,
}

/// What a [`Span`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanUnit {
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
pub struct Position {
    /// Epochs, with the share of the present one.
    pub epochs: f64,
    /// Updates of the weights.
    pub steps: u64,
    /// Training samples.
    pub samples: u64,
    /// Seconds of the fit.
    pub seconds: f64,
}

impl Span {
    /// So many epochs.
    pub const fn epochs(amount: f64) -> Self {
        Self { amount, unit: SpanUnit::Epochs }
    }

    /// So many updates of the weights.
    pub const fn steps(amount: u64) -> Self {
        Self { amount: amount as f64, unit: SpanUnit::Steps }
    }

    /// So many samples.
    pub const fn samples(amount: u64) -> Self {
        Self { amount: amount as f64, unit: SpanUnit::Samples }
    }

    /// So many seconds.
    pub const fn seconds(amount: f64) -> Self {
        Self { amount, unit: SpanUnit::Seconds }
    }

    /// How many of the unit.
    pub fn amount(&self) -> f64 {
        self.amount
    }

    /// What is counted.
    pub fn unit(&self) -> SpanUnit {
        self.unit
    }

    /// Whether the amount is a finite number above 0, and whole where the unit cannot be divided.
    pub fn is_valid(&self) -> bool {
        let whole = !matches!(self.unit, SpanUnit::Steps | SpanUnit::Samples) || self.amount.fract() == 0.0;
        self.amount.is_finite() && self.amount > 0.0 && whole
    }

    /// Whether a multiple of the span was reached on the way from `before` to `now`.
    pub fn is_due(&self, before: &Position, now: &Position) -> bool {
        self.times(now) > self.times(before)
    }

    /// Whether a run at `now` is as long as the span, or longer.
    pub fn is_reached(&self, now: &Position) -> bool {
        self.times(now) >= 1.0
    }

    /// How often the span fits into the run so far. The small summand makes up for quotients that rounding puts
    /// just below a whole number, as that of 0.3 and 0.1.
    fn times(&self, at: &Position) -> f64 {
        let so_far = match self.unit {
            SpanUnit::Epochs => at.epochs,
            SpanUnit::Steps => at.steps as f64,
            SpanUnit::Samples => at.samples as f64,
            SpanUnit::Seconds => at.seconds,
        };
        (so_far / self.amount + 1e-9).floor()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            SpanUnit::Epochs => "epoch",
            SpanUnit::Steps => "step",
            SpanUnit::Samples => "sample",
            SpanUnit::Seconds => "second",
        };
        write!(f, "{} {unit}{}", self.amount, if self.amount == 1.0 { "" } else { "s" })
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a number above 0 and one of epochs, steps, samples, seconds, minutes, hours, as in \
                 `5 steps`, got `{text}`"
            )
        };
        let text = text.trim();
        let at = text.find(|c: char| c.is_alphabetic()).ok_or_else(wrong)?;
        let amount: f64 = text[..at].trim().parse().map_err(|_| wrong())?;
        let (factor, unit) = match text[at..].strip_suffix('s').unwrap_or(&text[at..]) {
            "epoch" => (1.0, SpanUnit::Epochs),
            "step" => (1.0, SpanUnit::Steps),
            "sample" => (1.0, SpanUnit::Samples),
            "second" => (1.0, SpanUnit::Seconds),
            "minute" => (60.0, SpanUnit::Seconds),
            "hour" => (3600.0, SpanUnit::Seconds),
            _ => return Err(wrong()),
        };
        Some(Self { amount: amount * factor, unit }).filter(Self::is_valid).ok_or_else(wrong)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_and_written_as_text() {
        let check = |text: &str, expected: Span, written: &str| {
            let span: Span = text.parse().unwrap();
            assert_eq!(span, expected, "{text}");
            assert_eq!(span.to_string(), written);
            assert_eq!(written.parse::<Span>().unwrap(), expected);
        };
        check("5 steps", Span::steps(5), "5 steps");
        check(" 1 epoch ", Span::epochs(1.0), "1 epoch");
        check("0.25epochs", Span::epochs(0.25), "0.25 epochs");
        check("10 minutes", Span::seconds(600.0), "600 seconds");
        check("1.5 hours", Span::seconds(5400.0), "5400 seconds");
        check("1000 samples", Span::samples(1000), "1000 samples");
        for wrong in
            ["", "5", "steps", "0 steps", "-1 epochs", "1.5 steps", "nan epochs", "inf hours", "5 weeks"]
        {
            let error = wrong.parse::<Span>().unwrap_err();
            assert!(error.contains("as in `5 steps`") && error.ends_with(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn is_due_once_a_multiple() {
        let check = |span: &str, positions: &[Position], expected: &[bool]| {
            let span: Span = span.parse().unwrap();
            let due: Vec<bool> = positions.windows(2).map(|at| span.is_due(&at[0], &at[1])).collect();
            assert_eq!(due, expected, "{span}");
        };
        let epochs = |epochs: &[f64]| -> Vec<Position> {
            epochs.iter().map(|&epochs| Position { epochs, ..Position::default() }).collect()
        };
        check("1 epoch", &epochs(&[0.0, 0.5, 1.0, 1.5, 2.0]), &[false, true, false, true]);
        check("2 epochs", &epochs(&[0.0, 1.0, 2.0, 3.0, 4.0]), &[false, true, false, true]);
        check("0.1 epochs", &epochs(&[0.0, 0.1, 0.2, 0.3, 0.30001]), &[true, true, true, false]);
        let samples = [0, 90, 180, 400].map(|samples| Position { samples, ..Position::default() });
        check("100 samples", &samples, &[false, true, true]);
        assert!(Span::seconds(2.0).is_reached(&Position { seconds: 2.5, ..Position::default() }));
        assert!(!Span::steps(3).is_reached(&Position { steps: 2, ..Position::default() }));
    }
}
