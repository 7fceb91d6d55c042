//! Exact explanations of linear models of n-grams.

use std::collections::BTreeMap;

use faknow_data::text::NGramMatch;
use faknow_data::{Batch as _, Dataset as _, FieldDataset};
use faknow_model::{Mode, Model as _, ngram_contributions};
use serde::Serialize;
use tch::Device;

use crate::Result;
use crate::data::encoders::FieldEncoders;
use crate::models::BoxedModel;

/// The contribution of an n-gram of a text to the logit of the label: its weight times its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NGramAttribution {
    /// The words, separated by spaces.
    pub name: String,
    /// Position of the first word of each occurrence among the words of the text, from 0.
    pub positions: Vec<usize>,
    /// Contribution to the label, positive if it supports the label.
    pub contribution: f64,
}

/// The contributions of the n-grams and words of a text to the logit of a class.
pub(crate) struct NGramExplanation {
    /// The n-grams of the text in the order of their features.
    pub(crate) ngrams: Vec<NGramAttribution>,
    /// The contribution of each word: the sum of its shares in the n-grams that contain it. An n-gram is shared equally between its
    /// occurrences, and an occurrence between its words.
    pub(crate) words: Vec<f64>,
    /// The bias of the class.
    pub(crate) bias: f64,
    /// The logit of the class.
    pub(crate) logit: f64,
}

/// Explains the logit of `class` for a sample of `data`; returns `None` if the model is not linear in n-grams.
pub(crate) fn explain_ngrams(
    model: &BoxedModel,
    encoders: &FieldEncoders,
    data: &FieldDataset,
    sample: usize,
    class: usize,
    device: Device,
) -> Result<Option<NGramExplanation>> {
    let (Some(encoder), Some(words)) = (&encoders.ngrams, &encoders.words) else { return Ok(None) };
    if model.ngram_weights().is_none() {
        return Ok(None);
    }
    let batch = data.batch(&[sample])?.to_device(device);
    let contributions = ngram_contributions(model, batch.ngrams()?, class)?;
    let logits = tch::no_grad(|| model.forward(&batch, Mode::Eval))?.logits;
    let logit = logits.f_double_value(&[0, class as i64]).map_err(faknow_model::Error::from)?;
    let tokens = data.tokens(sample)?;
    let mut matches = BTreeMap::<u32, Vec<NGramMatch>>::new();
    encoder.for_each(&tokens, |ngram| matches.entry(ngram.feature).or_default().push(ngram));
    let mut shares = vec![0.0; tokens.len()];
    let mut ngrams = Vec::with_capacity(contributions.features.len());
    for (&feature, &contribution) in contributions.features.iter().zip(&contributions.contributions) {
        let matches = matches.remove(&feature).unwrap_or_default();
        let n_words: usize = matches.iter().map(|it| it.n_tokens).sum();
        for ngram in &matches {
            let words = &mut shares[ngram.start..ngram.start + ngram.n_tokens];
            words.iter_mut().for_each(|share| *share += contribution / n_words as f64);
        }
        ngrams.push(NGramAttribution {
            name: encoder.name(feature, &words.vocab),
            positions: matches.iter().map(|it| it.start).collect(),
            contribution,
        });
    }
    Ok(Some(NGramExplanation { ngrams, words: shares, bias: contributions.bias, logit }))
}
