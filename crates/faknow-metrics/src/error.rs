//! What can be wrong with predictions, metric names and reports.

/// The result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What was wrong, where, and what would have been right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A classifier has at least two classes.
    #[error("{n_classes} classes: a classifier has at least 2")]
    TooFewClasses {
        /// The number given.
        n_classes: usize,
    },
    /// A label is not a class index.
    #[error("sample {sample}: label {label} is outside the classes 0..={}", n_classes.saturating_sub(1))]
    LabelOutsideClasses {
        /// Position of the sample, from 0.
        sample: usize,
        /// The label found.
        label: i128,
        /// The number of classes.
        n_classes: usize,
    },
    /// There must be one score per sample and class.
    #[error(
        "{got} scores for {n_samples} samples and {n_classes} classes: expected {}",
        n_samples.saturating_mul(*n_classes)
    )]
    ScoreCount {
        /// The number of scores given.
        got: usize,
        /// The number of labels given.
        n_samples: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// A score is NaN or infinite.
    #[error("sample {sample}: the score of class {class} is {value}, expected a finite number")]
    NotFinite {
        /// Position of the sample, from 0.
        sample: usize,
        /// The class.
        class: usize,
        /// The score found.
        value: f64,
    },
    /// Two lists that belong together differ in length.
    #[error("{what}: expected {expected} values, got {got}")]
    Length {
        /// What was too short or too long.
        what: &'static str,
        /// The length of the other list.
        expected: usize,
        /// The length found.
        got: usize,
    },
    /// A value of a list is NaN or otherwise unusable.
    #[error("{what}: value {index} is {value}, expected {expected}")]
    Value {
        /// The list.
        what: &'static str,
        /// Position in the list, from 0.
        index: usize,
        /// The value found.
        value: f64,
        /// What would have been right.
        expected: &'static str,
    },
    /// A curve or a table cannot be drawn from these predictions.
    #[error("{what} is undefined: {reason}")]
    Undefined {
        /// What was requested.
        what: &'static str,
        /// Why there is none.
        reason: String,
    },
    /// A class number is too large.
    #[error("there is no class {class}: the classes are 0..={}", n_classes.saturating_sub(1))]
    UnknownClass {
        /// The number given.
        class: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// A number of bins must be at least 1.
    #[error("0 bins: at least 1 is needed")]
    NoBins,
    /// No metric has this name.
    #[error("unknown metric `{name}`; known are {}", known.join(", "))]
    UnknownMetric {
        /// The name given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// Two metrics of one set have the same name, so that one would overwrite the other.
    #[error("two metrics are called `{name}`: each needs a name of its own")]
    DuplicateMetric {
        /// The name.
        name: String,
    },
    /// The name of a metric is empty, or is reserved for the loss.
    #[error("a metric cannot be called `{name}`: {reason}")]
    MetricName {
        /// The name given.
        name: String,
        /// Why it cannot be used.
        reason: &'static str,
    },
    /// A custom metric failed.
    #[error("metric `{name}`: {error}")]
    Metric {
        /// The metric's name, which the set of metrics adds.
        name: String,
        /// What went wrong.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No epoch has recorded a value of this name.
    #[error("`{name}` is not recorded; recorded are {}", known.join(", "))]
    NotRecorded {
        /// The name given.
        name: String,
        /// The names that are recorded.
        known: Vec<String>,
    },
    /// Custom code failed; `?` makes it of common errors, [`Error::other`] of every error.
    #[error("{0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// A history that was saved cannot be read back.
    #[error("the saved history is not one: {message}")]
    SavedHistory {
        /// What was found, and what was expected.
        message: String,
    },
}

impl Error {
    /// An [`Error::Other`] of any error or message.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

/// Every error that a custom metric meets often; `impl<E: std::error::Error> From<E>` would include this one.
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
