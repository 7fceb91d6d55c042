//! Evaluation of a detector on labeled samples.

use faknow_data::{DataLoader, FieldDataset};
use faknow_metrics::{ClassificationReport, Decision, Evaluation};

use crate::Result;

/// Returns the evaluation with its rows in the order of the dataset, and the indices of the evaluated samples, since a run
/// may evaluate only some batches.
pub(crate) fn in_order(
    evaluation: Evaluation,
    loader: &DataLoader<FieldDataset>,
) -> Result<(Evaluation, Vec<usize>)> {
    let order = loader.order(0).concat();
    let mut rows: Vec<usize> = (0..evaluation.predictions.n_samples()).collect();
    rows.sort_by_key(|&row| order[row]);
    let predictions = evaluation.predictions.select(&rows)?;
    Ok((Evaluation { predictions, ..evaluation }, rows.into_iter().map(|row| order[row]).collect()))
}

/// Returns the evaluation of a detector from that of its model: the metrics after calibration and threshold, and the full
/// report. The loss is that of the model.
pub(crate) fn decide(
    evaluation: Evaluation,
    decision: &Decision,
    classes: &[String],
) -> Result<(Evaluation, ClassificationReport)> {
    let predictions = decision.apply(&evaluation.predictions)?;
    let report = ClassificationReport::new(&predictions, classes)?;
    let scores = evaluation.scores.iter();
    let scores =
        scores.map(|(name, score)| (name, report.scores().get(name).unwrap_or(score).clone())).collect();
    Ok((Evaluation { scores, predictions, seconds: evaluation.seconds }, report))
}
