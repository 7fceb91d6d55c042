//! Losses from logits.

mod class_weights;
mod criterion;

pub use class_weights::ClassWeights;
pub use criterion::{Criterion, LossName};

use faknow_data::Batch;
use tch::{Reduction, TchError, Tensor};

use crate::{Error, Loss, Output, Result};

/// Returns the mean cross entropy of `logits` `[n, n_classes]` against class numbers `labels` i64 `[n]`.
///
/// # Errors
/// [`Error::Labels`] if a label is no class.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let loss = logits.f_cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0);
    or_wrong_labels(loss, logits, labels)
}

/// Returns the [`Output`] of a plain classifier: the logits, with their cross entropy iff the batch has labels.
///
/// # Errors
/// As [`cross_entropy`].
pub fn classify(logits: Tensor, batch: &impl Batch) -> Result<Output> {
    let loss = batch.labels().map(|labels| cross_entropy(&logits, labels)).transpose()?.map(Loss::single);
    Ok(Output { logits, loss })
}

/// Says it of labels that are no class if they are why a loss could not be computed.
pub(crate) fn or_wrong_labels(
    loss: Result<Tensor, TchError>,
    logits: &Tensor,
    labels: &Tensor,
) -> Result<Tensor> {
    loss.map_err(|error| {
        let n_classes = logits.size().last().copied().unwrap_or(0);
        match (label(&labels.f_min()), label(&labels.f_max())) {
            (Some(min), Some(max)) if min < 0 || max >= n_classes => Error::Labels { n_classes, min, max },
            _ => error.into(),
        }
    })
}

fn label(value: &Result<Tensor, TchError>) -> Option<i64> {
    value.as_ref().ok()?.f_int64_value(&[]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_stays_finite_at_large_logits() {
        let logits = Tensor::from_slice(&[100.0f64, -100.0]).view([1, 2]);
        let right = cross_entropy(&logits, &Tensor::from_slice(&[0i64])).unwrap().double_value(&[]);
        let wrong = cross_entropy(&logits, &Tensor::from_slice(&[1i64])).unwrap().double_value(&[]);
        assert_eq!((right, wrong), (0.0, 200.0));
    }

    #[test]
    fn labels_outside_the_classes_are_named() {
        let logits = Tensor::zeros([2, 2], tch::kind::FLOAT_CPU);
        for (labels, says) in [([0i64, 5], "labels 0..=5"), ([-1, 1], "labels -1..=1")] {
            let error = cross_entropy(&logits, &Tensor::from_slice(&labels)).unwrap_err().to_string();
            assert!(error.contains("2 classes (0..=1)") && error.contains(says), "{error}");
        }
    }
}
