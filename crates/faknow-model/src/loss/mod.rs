//! Loss functions of class logits.

mod class_weights;
mod criterion;

pub use class_weights::ClassWeights;
pub use criterion::{Criterion, LossName};

use faknow_data::Batch;
use tch::{Reduction, TchError, Tensor};

use crate::{Error, Loss, Output, Result};

/// Computes the mean cross entropy of `logits` `[n, n_classes]` and class indices `labels` i64 `[n]`.
///
/// # Errors
/// [`Error::Labels`] if a label is not in `0..n_classes`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let loss = logits.f_cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0);
    or_label_error(loss, logits, labels)
}

/// Returns the [`Output`] of a classifier: the logits and, iff the batch has labels, their cross entropy.
///
/// # Errors
/// As [`cross_entropy`].
pub fn classify(logits: Tensor, batch: &impl Batch) -> Result<Output> {
    let loss = batch.labels().map(|labels| cross_entropy(&logits, labels)).transpose()?.map(Loss::single);
    Ok(Output { logits, loss })
}

/// Replaces the error of a loss by [`Error::Labels`] if labels are out of range.
pub(crate) fn or_label_error(
    loss: Result<Tensor, TchError>,
    logits: &Tensor,
    labels: &Tensor,
) -> Result<Tensor> {
    loss.map_err(|error| {
        let n_classes = logits.size().last().copied().unwrap_or(0);
        match (int_value(&labels.f_min()), int_value(&labels.f_max())) {
            (Some(min), Some(max)) if min < 0 || max >= n_classes => Error::Labels { n_classes, min, max },
            _ => error.into(),
        }
    })
}

fn int_value(value: &Result<Tensor, TchError>) -> Option<i64> {
    value.as_ref().ok()?.f_int64_value(&[]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_is_finite_for_large_logits() {
        let logits = Tensor::from_slice(&[100.0f64, -100.0]).view([1, 2]);
        let correct = cross_entropy(&logits, &Tensor::from_slice(&[0i64])).unwrap().double_value(&[]);
        let wrong = cross_entropy(&logits, &Tensor::from_slice(&[1i64])).unwrap().double_value(&[]);
        assert_eq!((correct, wrong), (0.0, 200.0));
    }

    #[test]
    fn cross_entropy_rejects_labels_out_of_range() {
        let logits = Tensor::zeros([2, 2], tch::kind::FLOAT_CPU);
        for (labels, expected) in [
            ([0i64, 5], "labels: expected 0..=1 (2 classes), got 0..=5"),
            ([-1, 1], "labels: expected 0..=1 (2 classes), got -1..=1"),
        ] {
            let error = cross_entropy(&logits, &Tensor::from_slice(&labels)).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
    }
}
