//! Why a detector judges a text as it does.

use faknow_data::{Batch as _, Dataset as _, FieldDataset, Record};
use faknow_model::{WordContributions, integrated_gradients};
use serde::Serialize;
use tch::Device;

use crate::Result;
use crate::detector::not_of_words;
use crate::detector::{Detector, Prediction};
use crate::models::BoxedModel;

/// What a detector says of a text, and what each of its words did for that.
///
/// Contributions, baseline and residual are log-odds of the label: the natural logarithm of its probability over that of all other
/// classes, by the model's own scores. Baseline, contributions and residual add up to those of the text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// What the detector says.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// The words, in their order.
    pub parts: Vec<Attribution>,
    /// What a text without words has.
    pub baseline: f64,
    /// What the parts do not account for, since the integral is a sum of 64 steps.
    pub residual: f64,
}

/// A word of a text, as the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attribution {
    /// The word after cutting: in lower case, if the texts were so in training.
    pub name: String,
    /// Whether training knew the word; all others are one and the same to the model.
    pub known: bool,
    /// What it did for the label: above 0 it speaks for it, below against it.
    pub contribution: f64,
}

impl Detector {
    /// Judges each text and says what its words did for the judgement, by
    /// [integrated gradients](faknow_model::integrated_gradients): some hundred times the work of a prediction.
    ///
    /// # Errors
    /// The detector judges trees, its model is none of words, or the model fails.
    pub fn explain<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Explanation>> {
        let words = self.word_encoder()?;
        let records = texts.iter().map(|text| Ok(Record::new(text.as_ref())));
        let data = words.dataset(records.collect::<Vec<_>>(), self.extra_padding())?;
        let predictions = self.predict_all(data.clone())?;
        let explain = |(row, (text, prediction)): (usize, (&S, Prediction))| {
            let class = self.classes().iter().position(|name| *name == prediction.label).unwrap_or_default();
            let contributions = word_contributions(self.model(), &data, row, class, self.device())?;
            let mut parts = Vec::with_capacity(contributions.words.len());
            words.tokenizer.tokenize(text.as_ref(), &mut |word| {
                let contribution = contributions.words.get(parts.len()).copied().unwrap_or_default();
                parts.push(Attribution {
                    name: word.to_owned(),
                    known: words.vocab.contains(word),
                    contribution,
                });
            });
            let residual = contributions.residual();
            Ok(Explanation { prediction, parts, baseline: contributions.baseline, residual })
        };
        texts.iter().zip(predictions).enumerate().map(explain).collect()
    }
}

/// What the words of the text at `row` did for `class`.
pub(crate) fn word_contributions(
    model: &BoxedModel,
    data: &FieldDataset,
    row: usize,
    class: usize,
    device: Device,
) -> Result<WordContributions> {
    let model = model.as_embedding_model().ok_or_else(not_of_words)?;
    let batch = data.batch(&[row])?.to_device(device);
    Ok(integrated_gradients(model, batch.words()?, class)?)
}
