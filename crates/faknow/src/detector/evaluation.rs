//! What a detector scores on labeled samples.

use faknow_data::{DataLoader, FieldDataset};
use faknow_metrics::{ClassificationReport, Decision, Evaluation};

use crate::Result;

/// An evaluation whose rows are samples of the data set in its order, whatever that of the batches, and which these are: a run
/// may have looked at some batches only.
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

/// What the detector says, by what its model says: the metrics of an evaluation after the decision, and the full report. The loss is the
/// model's.
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
