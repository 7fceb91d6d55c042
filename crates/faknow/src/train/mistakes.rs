//! The surest mistakes of a detector, and the words or nodes that led to them.

use faknow_data::{Batch as _, Dataset as _};
use faknow_metrics::Predictions;
use faknow_model::node_contributions;
use faknow_report::{Mistake, MistakePart};
use tch::Device;

use crate::Result;
use crate::data::corpus::Corpus;
use crate::data::input::{InputBatch, InputDataset, InputModel};
use crate::detector::explanation::word_contributions;

/// How many mistakes are told.
const N_MISTAKES: usize = 10;
/// How many nodes of each.
const N_NODES: usize = 20;

/// The surest mistakes among `predictions`, which are of the samples `samples` of `data`.
pub(crate) fn surest_mistakes(
    model: &InputModel,
    data: &InputDataset,
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
        let (id, unit, parts) = match data {
            InputDataset::Texts(texts) => {
                let words = texts.tokens(sample)?;
                let known = |token: &u32| {
                    corpus
                        .inputs
                        .words()
                        .and_then(|words| words.vocab.word(*token))
                        .unwrap_or_default()
                        .to_owned()
                };
                let contributions = match model.of_words() {
                    Some(_) => word_contributions(model, texts, sample, predicted[row], device)?.words,
                    None => vec![0.0; words.len()],
                };
                (None, "word", words.iter().map(known).zip(contributions).collect())
            }
            InputDataset::Trees(trees) => {
                let batch = InputBatch::Trees(trees.batch(&[sample])?).to_device(device);
                let parts = node_contributions(model, &batch, InputBatch::node_features)?;
                let mut parts: Vec<(String, f64)> =
                    parts.into_iter().enumerate().map(|(node, part)| (node.to_string(), part)).collect();
                parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
                (trees.ids().nth(sample).map(str::to_owned), "node", parts)
            }
        };
        let n_parts = parts.len();
        let shown = if unit == "node" { N_NODES } else { n_parts };
        let parts = parts.into_iter().take(shown);
        Ok(Mistake {
            row: sample,
            id,
            label: classes[labels[row]].clone(),
            predicted: classes[predicted[row]].clone(),
            score: score(row),
            unit: unit.to_owned(),
            n_parts,
            parts: parts.map(|(name, contribution)| MistakePart { name, contribution }).collect(),
        })
    };
    rows.iter().take(N_MISTAKES).map(mistake).collect()
}
