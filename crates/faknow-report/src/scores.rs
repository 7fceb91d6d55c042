//! Metrics of a test with their confidence intervals.

use faknow_metrics::{ConfidenceInterval, Predictions, bootstrap};

use crate::{PredictionTable, Result, Run};

/// Metrics of a test that are shown.
const SHOWN: [&str; 13] = [
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "f1_macro",
    "roc_auc",
    "average_precision",
    "mcc",
    "cohen_kappa",
    "log_loss",
    "brier_multiclass",
    "ece_15",
];

/// Samples up to which 1000 resamples take a moment; beyond, fewer do, since an interval of so many samples is narrow.
const MANY_SAMPLES: usize = 20_000;

/// The test of a run, judged and resampled once for all that a page tells of it.
pub(crate) struct Tested<'a> {
    /// What the model said.
    pub(crate) judged: &'a PredictionTable,
    /// What the detector says: the same after the temperature, and by the threshold.
    pub(crate) predictions: Predictions,
    /// Its metrics, each with an interval of 95 %.
    pub(crate) intervals: Vec<ConfidenceInterval>,
}

impl<'a> Tested<'a> {
    /// Of a run; `None` if it was not tested.
    pub(crate) fn of(run: &'a Run) -> Result<Option<Self>> {
        let Some(judged) = &run.test else { return Ok(None) };
        let predictions = run.decision.apply(&judged.predictions)?;
        let intervals = bootstrap(&predictions, &SHOWN, n_resamples(&predictions), 0)?;
        Ok(Some(Self { judged, predictions, intervals }))
    }
}

pub(crate) fn n_resamples(predictions: &Predictions) -> usize {
    if predictions.n_samples() > MANY_SAMPLES { 200 } else { 1000 }
}
