//! A linear classifier of weighted n-grams.
//!
//! With tf-idf weights, it is a baseline that many published networks do not beat. Its loss and regularization are those of
//! liblinear (Fan et al., *LIBLINEAR: A Library for Large Linear Classification*, JMLR 2008), which scikit-learn's `LinearSVC`
//! uses.

use faknow_data::{Batch as _, FieldBatch};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::{Init, Path};

use crate::loss::{cross_entropy, or_label_error};
use crate::{Error, Loss, Mode, Model, NGramWeights, Output, Result};

/// Hyperparameters of [`LinearClassifier`] and of the n-grams that it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearConfig {
    /// The loss of a sample. Default [`LinearLoss::SquaredHinge`].
    pub loss: LinearLoss,
    /// Weight of the losses relative to the L2 regularization, above 0, as scikit-learn's `C`. Default 1. The objective is
    /// half the squared norm of all weights plus `c` times the sum of the losses of the n training samples, so that a weight
    /// decay of 1 / (`c` n) with the mean loss is the same.
    pub c: f64,
    /// Maximum number of tokens of an n-gram; 0 for 4 characters or 2 words. Default 0.
    pub max_ngram: usize,
    /// Minimum number of training texts that contain an n-gram, at least 1. Default 2.
    pub min_df: usize,
}

/// The loss of a linear classifier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinearLoss {
    /// Squared hinge loss of each class against all others, or of one class against the other; a support vector machine, as
    /// scikit-learn's `LinearSVC`.
    #[default]
    SquaredHinge,
    /// Cross entropy of the softmax of the logits, as scikit-learn's `LogisticRegression`.
    Logistic,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self { loss: LinearLoss::default(), c: 1.0, max_ngram: 0, min_df: 2 }
    }
}

/// A linear classifier of weighted n-grams ([`FieldBatch::ngrams`]): the logit of a class is the sum of the weights of the
/// n-grams of a text, each multiplied by its value, plus the bias of the class.
///
/// With two classes, training keeps the logits of both opposite to each other.
///
/// Parameters, initially 0: `weight` `[n_features, n_classes]`, `bias` `[n_classes]`.
#[derive(Debug)]
pub struct LinearClassifier {
    weight: Tensor,
    bias: Tensor,
    loss: LinearLoss,
}

impl LinearClassifier {
    /// Creates a classifier of texts with `n_features` n-grams.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &LinearConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Config { model: "linear classifier", name, expected: expected.into(), got })
        };
        if !(config.c > 0.0 && config.c.is_finite()) {
            return invalid("c", "above 0", config.c.to_string());
        }
        if config.min_df < 1 {
            return invalid("min_df", "at least 1", config.min_df.to_string());
        }
        if n_classes < 2 {
            return invalid("n_classes", "at least 2", n_classes.to_string());
        }
        let zeros = |name, size: &[i64]| path.f_var(name, size, Init::Const(0.0));
        Ok(Self {
            weight: zeros("weight", &[n_features as i64, n_classes as i64])?,
            bias: zeros("bias", &[n_classes as i64])?,
            loss: config.loss,
        })
    }

    /// Returns the logits `[n, n_classes]` of a batch.
    fn logits(&self, batch: &FieldBatch) -> Result<Tensor> {
        let ngrams = batch.ngrams()?;
        let n_features = self.weight.size()[0];
        if ngrams.n_features as i64 != n_features {
            return Err(Error::Batch {
                model: "linear classifier",
                expected: format!("{n_features} n-grams"),
                got: ngrams.n_features.to_string(),
            });
        }
        let values = Some(ngrams.values.f_to_kind(self.weight.kind())?);
        const SUM: i64 = 0;
        let (weight, indices, offsets) = (&self.weight, &ngrams.indices, &ngrams.offsets);
        let (sums, ..) = Tensor::f_embedding_bag(weight, indices, offsets, false, SUM, false, values, false)?;
        Ok(sums.f_add(&self.bias)?)
    }
}

impl Model for LinearClassifier {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, _: Mode) -> Result<Output> {
        let logits = self.logits(batch)?;
        let loss = match (batch.labels(), self.loss) {
            (None, _) => None,
            (Some(labels), LinearLoss::Logistic) => Some(cross_entropy(&logits, labels)?),
            (Some(labels), LinearLoss::SquaredHinge) => {
                Some(or_label_error(squared_hinge(&logits, labels), &logits, labels)?)
            }
        };
        Ok(Output { logits, loss: loss.map(Loss::single) })
    }

    fn ngram_weights(&self) -> Option<NGramWeights<'_>> {
        Some(NGramWeights { weight: &self.weight, bias: &self.bias })
    }
}

/// Returns the mean over the samples of the sum over the classes of max(0, 1 - y z)², where y is 1 for the label and -1 for other
/// classes; of two classes, only the second counts.
fn squared_hinge(logits: &Tensor, labels: &Tensor) -> Result<Tensor, tch::TchError> {
    let n_classes = logits.size()[1];
    let signs =
        labels.f_one_hot(n_classes)?.f_to_kind(logits.kind())?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
    let losses = logits.f_mul(&signs)?.f_rsub_scalar(1.0)?.f_relu()?.f_square()?; // [n, n_classes]
    let counted = if n_classes == 2 { losses.f_narrow(1, 1, 1)? } else { losses };
    counted.f_sum_dim_intlist([1].as_slice(), false, None)?.f_mean(None)
}
