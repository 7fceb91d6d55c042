//! Evaluation of a detector on labeled samples.

use faknow_data::{DataLoader, FieldDataset, TokenCounts};
use faknow_metrics::{ClassificationReport, Decision, Evaluation};

use crate::Result;
use crate::detector::{DomainResults, KnownTokens};

/// The evaluation of a detector on labeled samples.
#[derive(Debug, Clone)]
pub struct DetectorEvaluation {
    /// The loss of the model, and the metrics of its training after calibration and threshold.
    pub evaluation: Evaluation,
    /// All metrics.
    pub report: ClassificationReport,
    /// Numbers of known tokens. The predictions of samples without any are a part of the metrics.
    pub known_tokens: KnownTokens,
    /// Results per domain; empty if the samples have no domains.
    pub domains: DomainResults,
    /// Results by the presence of text and image; empty for models that do not read images.
    pub inputs: DomainResults,
}

/// Samples that were evaluated, with the groups that they belong to.
pub(crate) struct EvaluatedSamples<'a> {
    /// Their indices.
    pub(crate) rows: &'a [usize],
    /// The domain of each, or none.
    pub(crate) domains: &'a [Option<String>],
    /// Which of text and image each has, or none.
    pub(crate) inputs: &'a [Option<String>],
}

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

/// Returns the evaluation of a detector from that of its model on these samples; `counts` has the tokens of all samples.
pub(crate) fn decide(
    evaluation: Evaluation,
    samples: &EvaluatedSamples<'_>,
    counts: &[TokenCounts],
    decision: &Decision,
    classes: &[String],
) -> Result<DetectorEvaluation> {
    let predictions = decision.apply(&evaluation.predictions)?;
    let report = ClassificationReport::new(&predictions, classes)?;
    let scores = evaluation.scores.iter();
    let scores =
        scores.map(|(name, score)| (name, report.scores().get(name).unwrap_or(score).clone())).collect();
    let known_tokens = samples.rows.iter().filter_map(|&row| counts.get(row)).copied().collect();
    let domains = DomainResults::new("domain", &predictions, samples.domains)?;
    let inputs = DomainResults::new("inputs", &predictions, samples.inputs)?;
    let evaluation = Evaluation { scores, predictions, seconds: evaluation.seconds };
    Ok(DetectorEvaluation { evaluation, report, known_tokens, domains, inputs })
}
