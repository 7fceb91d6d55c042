//! The trait of the served model, and its implementation for a detector.

use faknow::detector::{Explanation, Sample, SamplePrediction};
use faknow::{Detector, Result};
use serde::Serialize;

/// A model that classifies texts or trees: a [`Detector`] or a custom type.
///
/// One thread owns it and calls it for one batch at a time; [`explain`](Self::explain) is interrupted by calls of
/// [`predict`](Self::predict). An error of the data or of a setting
/// ([`faknow::Error::Data`], [`faknow::Error::Config`]) is sent to the client; any other error, and a panic, is logged, and
/// the client gets the status 500. After a failure, a batch is predicted in halves, so that only the samples that the model
/// fails on get the error.
pub trait Predictor: Send {
    /// Returns name, classes and input of the model.
    fn info(&self) -> ModelInfo;

    /// Classifies the samples, in order; those that the model knows nothing of have a reason instead of a prediction.
    ///
    /// # Errors
    /// A sample is not of the kind that the model takes, or the model fails.
    fn predict(&self, samples: &[Sample]) -> Result<Vec<SamplePrediction>>;

    /// Classifies a sample and explains the prediction. Calls `proceed` between the parts of its work, as often as every few
    /// milliseconds: the thread then processes waiting predictions. Returns `None` if `proceed` returned false, since the
    /// client has disconnected.
    ///
    /// # Errors
    /// As for [`predict`](Self::predict), or the model does not support explanations.
    fn explain(&self, sample: &Sample, proceed: &mut dyn FnMut() -> bool) -> Result<Option<Explanation>>;
}

/// The model, as `GET /v1/model` returns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// Name of the model, as in `model.name` of a config.
    pub model: String,
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// Kind of the samples; `reads` in JSON.
    #[serde(rename = "reads")]
    pub input: InputKind,
}

/// Kind of the samples that a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Texts.
    Texts,
    /// Propagation trees.
    Trees,
}

impl InputKind {
    /// Returns the field of a request with a single sample.
    pub(crate) fn single_field(self) -> &'static str {
        match self {
            Self::Texts => "text",
            Self::Trees => "tree",
        }
    }

    /// Returns the field of a request with a list of samples.
    pub(crate) fn list_field(self) -> &'static str {
        match self {
            Self::Texts => "texts",
            Self::Trees => "trees",
        }
    }
}

impl Predictor for Detector {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            model: self.config().model.name.clone(),
            classes: self.classes().to_vec(),
            input: if self.has_tree_input() { InputKind::Trees } else { InputKind::Texts },
        }
    }

    fn predict(&self, samples: &[Sample]) -> Result<Vec<SamplePrediction>> {
        self.predict_samples(samples)
    }

    fn explain(&self, sample: &Sample, proceed: &mut dyn FnMut() -> bool) -> Result<Option<Explanation>> {
        self.explain_in_parts(sample, proceed)
    }
}
