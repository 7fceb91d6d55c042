//! Shape checks for the batches and outputs of custom models, without synchronizing with a device.

use faknow_data::Batch;
use faknow_model::{Loss, Output};
use tch::Tensor;

use crate::{Error, Result, StepOutput};

/// Checks that there is one label per sample.
pub(crate) fn check_batch(batch: &impl Batch) -> Result<()> {
    match batch.labels() {
        Some(labels) if labels.size() != [batch.n_samples() as i64] => Err(shape_error(
            "labels of the batch",
            &format!("[{}], one for each sample", batch.n_samples()),
            labels,
        )),
        _ => Ok(()),
    }
}

/// Checks the output of a custom step: its loss, and its logits, if any.
pub(crate) fn check_step_output(output: &StepOutput, n_samples: usize) -> Result<()> {
    let logits = output.logits.as_ref();
    logits.map_or(Ok(()), |logits| check_logits("logits of the step", logits, n_samples))?;
    check_loss(&output.loss)
}

/// Checks that there is one row of logits per sample.
fn check_logits(what: &str, logits: &Tensor, n_samples: usize) -> Result<()> {
    match logits.size()[..] {
        [rows, n_classes] if rows == n_samples as i64 && n_classes >= 2 => Ok(()),
        _ => {
            let expected = format!("[{n_samples}, n_classes] with at least 2 classes");
            Err(shape_error(what, &expected, logits))
        }
    }
}

/// Checks that there is one row of logits per sample, and that the loss, if any, is a scalar.
pub(crate) fn check_output(output: &Output, n_samples: usize) -> Result<()> {
    check_logits("logits of the model", &output.logits, n_samples)?;
    output.loss.as_ref().map_or(Ok(()), check_loss)
}

/// Checks that a loss is a scalar.
pub(crate) fn check_loss(loss: &Loss) -> Result<()> {
    if loss.total.numel() == 1 {
        return Ok(());
    }
    Err(shape_error("loss", "a scalar: the mean over the samples", &loss.total))
}

fn shape_error(what: &str, expected: &str, tensor: &Tensor) -> Error {
    Error::other(format!("{what}: expected {expected}, got {:?}", tensor.size()))
}
