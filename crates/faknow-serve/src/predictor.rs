//! What is served: a detector, or anything else that classifies texts or trees.

use faknow::detector::{Explanation, Sample};
use faknow::{Detector, Prediction, Result};
use serde::Serialize;

/// Classifies samples. A [`Detector`] does, and so may a custom type.
///
/// It lives in one thread, which calls it for one batch at a time. An error of data or of a setting
/// ([`faknow::Error::Data`], [`faknow::Error::Config`]) is returned to the client; any other error, and a panic, is logged
/// and answered as a failure of the model.
pub trait Predictor: Send {
    /// Returns name, classes and inputs of the model.
    fn info(&self) -> ModelInfo;

    /// Classifies each sample, in their order.
    ///
    /// # Errors
    /// A sample is not what the model reads, or the model fails.
    fn predict(&self, samples: &[Sample]) -> Result<Vec<Prediction>>;

    /// Classifies a sample and explains the prediction.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict); or predictions of this model cannot be explained.
    fn explain(&self, sample: &Sample) -> Result<Explanation>;
}

/// What `GET /v1/model` returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// Name of the model, as in `model.name` of a config.
    pub model: String,
    /// The classes, in order.
    pub classes: Vec<String>,
    /// What a sample is; `reads` in JSON.
    #[serde(rename = "reads")]
    pub input: InputKind,
}

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A text.
    Texts,
    /// A propagation tree.
    Trees,
}

impl Predictor for Detector {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            model: self.config().model.name.clone(),
            classes: self.classes().to_vec(),
            input: if self.has_tree_input() { InputKind::Trees } else { InputKind::Texts },
        }
    }

    fn predict(&self, samples: &[Sample]) -> Result<Vec<Prediction>> {
        self.predict_samples(samples)
    }

    fn explain(&self, sample: &Sample) -> Result<Explanation> {
        let explanation = self.explain_samples(std::slice::from_ref(sample))?.into_iter().next();
        explanation.ok_or_else(|| faknow::Error::config("", "the sample has no explanation"))
    }
}
