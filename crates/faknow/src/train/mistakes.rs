//! The most confident mistakes of a detector, with the contributions of words or nodes.

use faknow_data::{Batch as _, Dataset as _, FieldDataset};
use faknow_metrics::Predictions;
use faknow_model::{integrated_gradients, node_contributions};
use faknow_report::{Mistake, MistakePart};
use tch::Device;

use crate::Result;
use crate::data::corpus::Corpus;
use crate::detector::explanation::words_of;
use crate::detector::ngram_explanation::explain_ngrams;
use crate::models::BoxedModel;

/// Maximum number of mistakes.
const MAX_MISTAKES: usize = 10;
/// Maximum number of nodes of a mistake.
const MAX_NODES: usize = 20;

/// Returns the most confident mistakes among `predictions`, whose rows are the samples `samples` of `data`.
pub(crate) fn most_confident_mistakes(
    model: &BoxedModel,
    data: &FieldDataset,
    samples: &[usize],
    corpus: &Corpus,
    predictions: &Predictions,
    device: Device,
) -> Result<Vec<Mistake>> {
    let classes = corpus.classes.names();
    let (labels, predicted) = (predictions.labels(), predictions.predicted());
    let score = |row: usize| predictions.row(row)[predicted[row]];
    let mut rows: Vec<usize> =
        (0..predictions.n_samples()).filter(|&row| labels[row] != predicted[row]).collect();
    rows.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let mistake = |&row: &usize| -> Result<Mistake> {
        let sample = samples[row];
        let batch = data.batch(&[sample])?.to_device(device);
        let (unit, parts) = if model.node_features(&batch).is_some() {
            let parts = node_contributions(model, &batch)?;
            let mut parts: Vec<(String, f64)> =
                parts.into_iter().enumerate().map(|(node, part)| (node.to_string(), part)).collect();
            parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
            ("node", parts)
        } else {
            let words = data.tokens(sample)?;
            let word = |token: &u32| corpus.encoders.word(*token).unwrap_or_default();
            let class = predicted[row];
            let exact = explain_ngrams(model, &corpus.encoders, data, sample, class, device)?;
            let contributions = match (exact, model.embedding_model_of(&batch)) {
                (Some(exact), _) => exact.words,
                (None, Some(model)) => integrated_gradients(&*model, &words_of(&batch)?, class)?.words,
                (None, None) => vec![0.0; words.len()],
            };
            ("word", words.iter().map(word).zip(contributions).collect())
        };
        let n_parts = parts.len();
        let counts = corpus.encoders.token_counts(&data.subset(&[sample])?)?;
        let max_parts = if unit == "node" { MAX_NODES } else { n_parts };
        let parts = parts.into_iter().take(max_parts);
        Ok(Mistake {
            row: sample,
            id: data.id(sample).map(str::to_owned),
            label: classes[labels[row]].clone(),
            predicted: classes[predicted[row]].clone(),
            score: score(row),
            unit: unit.to_owned(),
            n_parts,
            known_tokens: counts.first().map(|counts| counts.n_known),
            parts: parts.map(|(name, contribution)| MistakePart { name, contribution }).collect(),
        })
    };
    rows.iter().take(MAX_MISTAKES).map(mistake).collect()
}
