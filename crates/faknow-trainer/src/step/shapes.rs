//! What custom batches and models give is of the shape that the loop relies on; nothing here waits for a device.

use faknow_data::Batch;
use faknow_model::{Loss, Output};
use tch::Tensor;

use crate::{Error, Result};

/// Checks that there are as many labels as samples.
pub(crate) fn check_batch(batch: &impl Batch) -> Result<()> {
    match batch.labels() {
        Some(labels) if labels.size() != [batch.n_samples() as i64] => Err(wrong(
            "labels of the batch",
            &format!("[{}], one for each sample", batch.n_samples()),
            labels,
        )),
        _ => Ok(()),
    }
}

/// Checks that there is a row of logits for each sample, and a scalar loss if there is any.
pub(crate) fn check_output(output: &Output, n_samples: usize) -> Result<()> {
    match output.logits.size()[..] {
        [rows, n_classes] if rows == n_samples as i64 && n_classes >= 2 => {}
        _ => {
            let expected = format!("[{n_samples}, n_classes] with at least 2 classes");
            return Err(wrong("logits of the model", &expected, &output.logits));
        }
    }
    output.loss.as_ref().map_or(Ok(()), check_loss)
}

/// Checks that a loss is one number.
pub(crate) fn check_loss(loss: &Loss) -> Result<()> {
    if loss.total.numel() == 1 {
        return Ok(());
    }
    Err(wrong("loss", "a scalar: the mean over the samples", &loss.total))
}

fn wrong(what: &str, expected: &str, tensor: &Tensor) -> Error {
    Error::other(format!("{what}: expected {expected}, got {:?}", tensor.size()))
}
