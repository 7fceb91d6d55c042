//! Errors of predictions, metrics, curves and histories.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of `faknow-metrics`: what is wrong, where, and what is expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There are fewer than two classes.
    #[error("n_classes: expected at least 2, got {n_classes}")]
    TooFewClasses {
        /// The number of classes.
        n_classes: usize,
    },
    /// A label is not a class index.
    #[error("sample {sample}: expected a label in 0..={}, got {label}", n_classes.saturating_sub(1))]
    LabelOutsideClasses {
        /// Index of the sample.
        sample: usize,
        /// The label.
        label: i128,
        /// The number of classes.
        n_classes: usize,
    },
    /// The number of scores is not `n_samples * n_classes`.
    #[error(
        "scores: expected {} values ({n_samples} samples, {n_classes} classes), got {got}",
        n_samples.saturating_mul(*n_classes)
    )]
    ScoreCount {
        /// The number of scores.
        got: usize,
        /// The number of labels.
        n_samples: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// A score is NaN or infinite.
    #[error("sample {sample}: score of class {class}: expected a finite number, got {value}")]
    NotFinite {
        /// Index of the sample.
        sample: usize,
        /// The class.
        class: usize,
        /// The score.
        value: f64,
    },
    /// A list has the wrong length.
    #[error("{what}: expected {expected} values, got {got}")]
    Length {
        /// The list.
        what: &'static str,
        /// The expected length.
        expected: usize,
        /// The actual length.
        got: usize,
    },
    /// A value of a list is NaN or out of range.
    #[error("{what}[{index}]: expected {expected}, got {value}")]
    Value {
        /// The list.
        what: &'static str,
        /// Index in the list.
        index: usize,
        /// The value.
        value: f64,
        /// The expected kind of value.
        expected: &'static str,
    },
    /// A curve or an area is undefined for these predictions.
    #[error("{what} is undefined: {reason}")]
    Undefined {
        /// The curve or area.
        what: &'static str,
        /// Why it is undefined.
        reason: String,
    },
    /// A class index is out of range.
    #[error("class: expected 0..={}, got {class}", n_classes.saturating_sub(1))]
    UnknownClass {
        /// The class index.
        class: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// The number of bins is 0.
    #[error("n_bins: expected at least 1, got 0")]
    NoBins,
    /// No metric has this name.
    #[error("unknown metric `{name}`: expected one of {}", known.join(", "))]
    UnknownMetric {
        /// The name.
        name: String,
        /// The names of the built-in metrics.
        known: Vec<String>,
    },
    /// Two metrics of a set have the same name, so one would overwrite the other.
    #[error("duplicate metric name `{name}`: expected a unique name for each metric")]
    DuplicateMetric {
        /// The name.
        name: String,
    },
    /// The name of a metric is empty or reserved for the loss.
    #[error("invalid metric name `{name}`: {reason}")]
    MetricName {
        /// The name.
        name: String,
        /// Why it cannot be used.
        reason: &'static str,
    },
    /// A custom metric failed.
    #[error("metric `{name}`: {}", describe(&**error))]
    Metric {
        /// The metric's name, added by the set of metrics.
        name: String,
        /// What went wrong.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No epoch has recorded a value of this name.
    #[error("unknown recorded value `{name}`: expected one of {}", known.join(", "))]
    NotRecorded {
        /// The name.
        name: String,
        /// The names of the recorded values.
        known: Vec<String>,
    },
    /// Custom code failed; `?` converts common errors, [`Error::other`] any error.
    #[error("{}", describe(&**.0))]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// A saved history cannot be restored.
    #[error("invalid saved history: {message}")]
    SavedHistory {
        /// What was expected, and what was there instead.
        message: String,
    },
}

/// Returns the messages of an error and its causes, each once.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        next = cause.source();
    }
    text
}

impl Error {
    /// Creates an [`Error::Other`] from any error or message.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

/// Implements `From` for the common errors of custom metrics; `impl<E: std::error::Error> From<E>` would include [`Error`].
macro_rules! from_other_errors {
    ($($other:ty),*) => {
        $(
            impl From<$other> for Error {
                fn from(error: $other) -> Self {
                    Self::other(error)
                }
            }
        )*
    };
}

from_other_errors!(
    Box<dyn std::error::Error + Send + Sync>,
    std::io::Error,
    std::num::ParseIntError,
    std::num::ParseFloatError,
    String,
    &str
);
