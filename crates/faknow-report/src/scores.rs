//! Test metrics with confidence intervals.

use faknow_metrics::{ConfidenceInterval, Predictions, bootstrap};

use crate::{PredictionTable, Result, Run};

/// The main metrics of a comparison of models, higher is better.
pub(crate) const MAIN_METRICS: [&str; 9] = [
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "f1_macro",
    "roc_auc",
    "average_precision",
    "mcc",
];

/// Returns the test metrics to show, with the Brier score for this number of classes, as in a classification report.
fn shown(n_classes: usize) -> Vec<&'static str> {
    let brier = if n_classes == 2 { "brier_binary" } else { "brier_multiclass" };
    [&MAIN_METRICS[..], &["cohen_kappa", "log_loss", brier, "ece_15"]].concat()
}

/// Number of samples above which fewer resamples are drawn: they take long, and the intervals are narrow.
const MANY_SAMPLES: usize = 20_000;

/// The test of a run, resampled once for all sections of the report.
pub(crate) struct TestResult<'a> {
    /// Predictions of the model.
    pub(crate) table: &'a PredictionTable,
    /// Predictions of the detector: with temperature and threshold applied.
    pub(crate) predictions: Predictions,
    /// Metrics, each with a 95 % confidence interval.
    pub(crate) intervals: Vec<ConfidenceInterval>,
}

impl<'a> TestResult<'a> {
    /// Evaluates the test of a run; `None` if it was not tested.
    pub(crate) fn new(run: &'a Run) -> Result<Option<Self>> {
        let Some(table) = &run.test else { return Ok(None) };
        let predictions = run.decision.apply(&table.predictions)?;
        let intervals =
            bootstrap(&predictions, &shown(predictions.n_classes()), n_resamples(&predictions), 0)?;
        Ok(Some(Self { table, predictions, intervals }))
    }
}

pub(crate) fn n_resamples(predictions: &Predictions) -> usize {
    if predictions.n_samples() > MANY_SAMPLES { 200 } else { 1000 }
}
