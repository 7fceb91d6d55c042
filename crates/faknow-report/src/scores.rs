//! Metrics of a test with their confidence intervals.

use faknow_metrics::{Interval, Predictions, bootstrap};

use crate::{Judged, Result, Run};

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

/// The metrics of these predictions, each with an interval of 95 %.
pub(crate) fn intervals(predictions: &Predictions) -> Result<Vec<Interval>> {
    Ok(bootstrap(predictions, &SHOWN, n_resamples(predictions), 0)?)
}

pub(crate) fn n_resamples(predictions: &Predictions) -> usize {
    if predictions.n_samples() > MANY_SAMPLES { 200 } else { 1000 }
}

/// What the run's detector says of the test samples: the scores after the temperature.
pub(crate) fn decided(run: &Run, judged: &Judged) -> Result<Predictions> {
    Ok(run.decision.apply(&judged.predictions)?)
}
