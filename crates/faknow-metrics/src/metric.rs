//! The [`Metric`] trait, and metrics from closures.

use std::fmt;

use crate::{Direction, Predictions, Result, Score};

/// A measure of the quality of predictions.
///
/// A metric is computed from all predictions of a pass, so its value does not depend on the batch size.
///
/// ```
/// use faknow_metrics::{Direction, Metric, Metrics, Predictions, Result, Score};
///
/// /// Fraction of the rumors (class 1) that are missed.
/// struct MissRate;
///
/// impl Metric for MissRate {
///     fn name(&self) -> &str {
///         "miss_rate"
///     }
///     fn direction(&self) -> Direction {
///         Direction::Minimize
///     }
///     fn compute(&self, predictions: &Predictions) -> Result<Score> {
///         let rumors = predictions.confusion().support()[1];
///         if rumors == 0 {
///             return Ok(Score::undefined("there are no rumors"));
///         }
///         Ok(Score::from(predictions.confusion().get(1, 0) as f64 / rumors as f64))
///     }
/// }
///
/// let metrics = Metrics::default().with(MissRate)?;
/// let predictions = Predictions::new(2, vec![1, 1, 0], vec![0.2, 0.8, 0.7, 0.3, 0.9, 0.1])?;
/// assert_eq!(metrics.compute(&predictions)?.value("miss_rate"), Some(0.5));
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
pub trait Metric: Send {
    /// Returns the name in logs and files: not empty, and unique within a run.
    fn name(&self) -> &str;

    /// Returns whether higher or lower values are better.
    fn direction(&self) -> Direction;

    /// Returns the value for `predictions`, or [`Score::Undefined`] with the reason.
    ///
    /// # Errors
    /// Any failure that should end the run: `?` converts common errors, [`Error::other`](crate::Error::other) any error;
    /// the metric's name is added.
    fn compute(&self, predictions: &Predictions) -> Result<Score>;

    /// Returns whether the value depends only on labels and predicted classes, not on scores. Default: false.
    fn only_needs_classes(&self) -> bool {
        false
    }
}

impl<M: Metric + ?Sized> Metric for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn direction(&self) -> Direction {
        (**self).direction()
    }

    fn compute(&self, predictions: &Predictions) -> Result<Score> {
        (**self).compute(predictions)
    }

    fn only_needs_classes(&self) -> bool {
        (**self).only_needs_classes()
    }
}

/// A metric from a closure, see [`metric_fn`].
pub struct FnMetric {
    name: String,
    direction: Direction,
    function: Box<dyn Fn(&Predictions) -> Score + Send>,
}

/// Creates a metric from a closure that returns a number (NaN and infinity become undefined) or a [`Score`].
///
/// ```
/// use faknow_metrics::{Direction, Metric, Predictions, metric_fn};
///
/// let errors = metric_fn("errors", Direction::Minimize, |p: &Predictions| {
///     (p.confusion().n_samples() - p.confusion().n_correct()) as f64
/// });
/// let predictions = Predictions::new(2, vec![1, 0], vec![0.2, 0.8, 0.3, 0.7])?;
/// assert_eq!(errors.compute(&predictions)?.value(), Some(1.0));
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
pub fn metric_fn<S: Into<Score>>(
    name: impl Into<String>,
    direction: Direction,
    function: impl Fn(&Predictions) -> S + Send + 'static,
) -> FnMetric {
    FnMetric { name: name.into(), direction, function: Box::new(move |p| function(p).into()) }
}

impl Metric for FnMetric {
    fn name(&self) -> &str {
        &self.name
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn compute(&self, predictions: &Predictions) -> Result<Score> {
        Ok((self.function)(predictions))
    }
}

impl fmt::Debug for FnMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnMetric")
            .field("name", &self.name)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_return_numbers_or_scores() {
        let predictions = Predictions::new(2, vec![], vec![]).unwrap();
        let check = |metric: FnMetric, expected: Option<f64>| {
            assert_eq!(metric.compute(&predictions).unwrap().value(), expected, "{metric:?}");
        };
        let factor = 2.0;
        check(metric_fn("captured", Direction::Maximize, move |_| factor), Some(2.0));
        check(metric_fn("nan", Direction::Maximize, |_| f64::NAN), None);
        check(metric_fn("score", Direction::Minimize, |_| Score::undefined("no reason")), None);
    }
}
