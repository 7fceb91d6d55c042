//! Sets of metrics.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Direction, Error, Metric, Predictions, Result, Scores, builtin, metric_by_name};

/// An ordered set of metrics with unique names.
///
/// The default is that of FaKnow: `accuracy`, `precision`, `recall`, `f1`, of class 1 with two classes, else the macro
/// average.
///
/// ```
/// use faknow_metrics::{Metrics, Predictions};
///
/// let metrics = Metrics::from_names(&["accuracy", "f1_macro", "auc"])?;
/// let predictions = Predictions::new(2, vec![0, 1], vec![0.9, 0.1, 0.4, 0.6])?;
/// let scores = metrics.compute(&predictions)?;
/// assert_eq!(scores.to_string(), "accuracy=1.000000    f1_macro=1.000000    roc_auc=1.000000");
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
pub struct Metrics {
    metrics: Vec<Box<dyn Metric>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let defaults = ["accuracy", "precision", "recall", "f1"];
        Self { metrics: builtin::all().filter(|metric| defaults.contains(&metric.name())).collect() }
    }
}

impl Metrics {
    /// Creates an empty set.
    pub fn empty() -> Self {
        Self { metrics: Vec::new() }
    }

    /// Returns the twelve most common built-in metrics, which `faknow` records by default.
    ///
    /// ```
    /// use faknow_metrics::Metrics;
    ///
    /// assert_eq!(Metrics::common().len(), 12);
    /// ```
    pub fn common() -> Self {
        Self { metrics: builtin::common().collect() }
    }

    /// Returns all built-in metrics; those not applicable to the number of classes are undefined.
    pub fn all() -> Self {
        Self { metrics: builtin::all().collect() }
    }

    /// Creates a set of built-in metrics by name, see [`metric_by_name`].
    ///
    /// # Errors
    /// A name is unknown, or a metric occurs twice (aliases included).
    pub fn from_names<N: AsRef<str>>(names: &[N]) -> Result<Self> {
        let mut metrics = Self::empty();
        for name in names {
            metrics.push(metric_by_name(name.as_ref())?)?;
        }
        Ok(metrics)
    }

    /// Returns this set with `metric` added.
    ///
    /// # Errors
    /// The name is already used, empty, or reserved for the loss.
    pub fn with(mut self, metric: impl Metric + 'static) -> Result<Self> {
        self.push(metric)?;
        Ok(self)
    }

    /// Returns whether all metrics depend only on labels and predicted classes, not on scores.
    pub fn only_need_classes(&self) -> bool {
        self.metrics.iter().all(|metric| metric.only_needs_classes())
    }

    /// Adds a metric.
    ///
    /// # Errors
    /// The name is already used, empty, or reserved for the loss (`loss`, `loss/…`), next to which metrics are recorded.
    pub fn push(&mut self, metric: impl Metric + 'static) -> Result<()> {
        let name = metric.name();
        if name.trim().is_empty() {
            return Err(Error::MetricName { name: name.to_owned(), reason: "the name is empty" });
        }
        if name == "loss" || name.starts_with("loss/") {
            return Err(Error::MetricName {
                name: name.to_owned(),
                reason: "the name is reserved for the loss",
            });
        }
        if self.metrics.iter().any(|other| other.name() == name) {
            return Err(Error::DuplicateMetric { name: name.to_owned() });
        }
        self.metrics.push(Box::new(metric));
        Ok(())
    }

    /// Returns the names, in order.
    pub fn names(&self) -> Vec<String> {
        self.metrics.iter().map(|metric| metric.name().to_owned()).collect()
    }

    /// Returns the names, in order, each with its direction.
    pub fn directions(&self) -> Vec<(String, Direction)> {
        self.metrics.iter().map(|metric| (metric.name().to_owned(), metric.direction())).collect()
    }

    /// Returns the number of metrics.
    pub fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }

    /// Returns the value of every metric, in order.
    ///
    /// # Errors
    /// A metric fails or panics; an undefined value is not an error.
    pub fn compute(&self, predictions: &Predictions) -> Result<Scores> {
        let mut scores = Scores::new();
        for metric in &self.metrics {
            let result = catch_unwind(AssertUnwindSafe(|| metric.compute(predictions)));
            let result = result.unwrap_or_else(|panic| Err(Error::other(panic_message(&*panic))));
            let score = result.map_err(|error| match error {
                Error::Other(error) => Error::Metric { name: metric.name().to_owned(), error },
                other => other,
            })?;
            scores.insert(metric.name(), score);
        }
        Ok(scores)
    }
}

/// Returns the message of a caught panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.map_or_else(|| "panicked".to_owned(), |text| format!("panicked: {text}"))
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.metrics.iter().map(|metric| metric.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Score, metric_by_name, metric_fn};

    #[test]
    fn sets_have_names_and_directions() {
        assert_eq!(Metrics::default().names(), ["accuracy", "precision", "recall", "f1"]);
        assert!(Metrics::empty().is_empty());
        assert_eq!(Metrics::all().len(), crate::metric_names().len());
        assert_eq!(
            Metrics::from_names(&["Kappa", "log_loss"]).unwrap().directions(),
            [("cohen_kappa".to_owned(), Direction::Maximize), ("log_loss".to_owned(), Direction::Minimize)]
        );
        let boxed = Metrics::empty().with(metric_by_name("mcc").unwrap()).unwrap();
        assert_eq!(format!("{boxed:?}"), "[\"mcc\"]");
    }

    #[test]
    fn rejects_duplicate_and_reserved_names() {
        let check = |result: Result<Metrics>, expected: &str| {
            assert_eq!(result.unwrap_err().to_string(), expected);
        };
        let named = |name: &str| metric_fn(name, Direction::Maximize, |_| 0.0);
        check(
            Metrics::default().with(named("f1")),
            "duplicate metric name `f1`: expected a unique name for each metric",
        );
        check(
            Metrics::from_names(&["auc", "roc_auc"]),
            "duplicate metric name `roc_auc`: expected a unique name for each metric",
        );
        check(Metrics::empty().with(named(" ")), "invalid metric name ` `: the name is empty");
        for name in ["loss", "loss/class"] {
            let expected = format!("invalid metric name `{name}`: the name is reserved for the loss");
            check(Metrics::empty().with(named(name)), &expected);
        }
    }

    #[test]
    fn compute_fails_on_errors_but_not_on_undefined_values() {
        struct Failing;
        impl Metric for Failing {
            fn name(&self) -> &str {
                "failing"
            }
            fn direction(&self) -> Direction {
                Direction::Maximize
            }
            fn compute(&self, _: &Predictions) -> Result<Score> {
                Ok(Err("no lexicon")?)
            }
        }
        let empty = Predictions::new(2, vec![], vec![]).unwrap();
        let scores = Metrics::default().compute(&empty).unwrap();
        assert!(scores.iter().all(|(_, score)| score.value().is_none()));
        let error = Metrics::default().with(Failing).unwrap().compute(&empty).unwrap_err();
        assert_eq!(error.to_string(), "metric `failing`: no lexicon");
        let panicking = metric_fn("panicking", Direction::Maximize, |predictions| {
            assert!(predictions.n_samples() > 0, "no samples");
            1.0
        });
        let error = Metrics::empty().with(panicking).unwrap().compute(&empty).unwrap_err();
        assert_eq!(error.to_string(), "metric `panicking`: panicked: no samples");
    }
}
