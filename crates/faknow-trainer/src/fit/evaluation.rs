//! Evaluation and prediction: losses, class scores and metrics from one forward pass over the data.

use std::time::Instant;

use faknow_callbacks::{PassProgress, Phase};
use faknow_data::{Batch, Loader};
use faknow_metrics::{Evaluation, Metrics, PredictionsBuilder, Score};
use faknow_model::{Mode, Model};
use tch::{Device, Kind, Tensor, no_grad_guard};

use crate::error::{Location, phase_name};
use crate::fit::sums::LossSums;
use crate::step::shapes::{check_batch, check_output};
use crate::system::guard::{GradModeGuard, guard, guarded};
use crate::{Error, Interrupt, Result};

/// Evaluates a model on labeled data; the scores are `loss` and its parts, followed by the metrics.
///
/// # Errors
/// The loader is empty, a batch has no labels, or a batch, the model or a metric fails.
pub fn evaluate<M: Model>(
    model: &M,
    loader: &dyn Loader<M::Batch>,
    metrics: &Metrics,
    device: Device,
) -> Result<Evaluation> {
    evaluate_at((Phase::Test, 0), model, loader, metrics, device, |_| Ok(()))
}

/// Evaluates like [`evaluate`], until `interrupt` is requested.
///
/// # Errors
/// As [`evaluate`]; [`Error::Interrupted`] if the request is made before the last batch is done.
pub fn evaluate_until<M: Model>(
    model: &M,
    loader: &dyn Loader<M::Batch>,
    metrics: &Metrics,
    device: Device,
    interrupt: &Interrupt,
) -> Result<Evaluation> {
    let _guard = interrupt.install();
    evaluate_at((Phase::Test, 0), model, loader, metrics, device, |_| interrupt.check())
}

/// Evaluates like [`evaluate`] in a phase and epoch of a run; `progress` is called after each batch.
pub(crate) fn evaluate_at<M: Model>(
    (phase, epoch): (Phase, usize),
    model: &M,
    loader: &dyn Loader<M::Batch>,
    metrics: &Metrics,
    device: Device,
    mut progress: impl FnMut(PassProgress) -> Result<()>,
) -> Result<Evaluation> {
    let start = Instant::now();
    let _grad_mode = GradModeGuard::new();
    let n_batches = loader.n_batches();
    if n_batches == 0 {
        return Err(Error::EmptyLoader { phase: phase_name(phase), hint: "add at least one sample" });
    }
    let mut sums = LossSums::default();
    let mut predictions: Option<PredictionsBuilder> = None;
    for batch in guarded(1, |batch| Location { phase, epoch, batch }, || loader.batches(0, 0))? {
        let (location, batch) = batch?;
        let n_samples = guard(location, || {
            // A guard, since `no_grad` would leave gradients disabled if the model panics.
            let _no_grad = no_grad_guard();
            check_batch(&batch)?;
            let batch = batch.to_device(device);
            let output = model.forward(&batch, Mode::Eval)?;
            check_output(&output, batch.n_samples())?;
            let labels = batch.labels().ok_or(Error::NoLabels { location })?;
            if let Some(loss) = output.loss {
                sums.add(&loss, batch.n_samples())?;
            }
            let scores = class_scores(&output.logits, location)?;
            let labels = to_vec::<i64>(labels, Kind::Int64)?;
            let n_classes = n_classes(&output.logits);
            predictions.get_or_insert_with(|| PredictionsBuilder::new(n_classes)).extend(&labels, &scores)?;
            Ok(labels.len())
        })?;
        progress(PassProgress { batch: location.batch, n_batches, n_samples })?;
    }
    let empty =
        Error::EmptyLoader { phase: phase_name(phase), hint: "it announced batches but yielded none" };
    let predictions = predictions.ok_or(empty)?.finish()?;
    let mut scores = sums.means()?;
    if sums.is_empty() {
        scores.insert("loss", Score::undefined("the model returned no loss"));
    }
    let last = Location { phase, epoch, batch: n_batches };
    for (name, score) in guard(last, || Ok(metrics.compute(&predictions)?))?.iter() {
        scores.insert(name.to_owned(), score.clone());
    }
    Ok(Evaluation { scores, predictions, seconds: start.elapsed().as_secs_f64() })
}

/// Returns the class scores of labeled or unlabeled data: a row of `n_classes` scores per sample, in the loader's order.
///
/// # Errors
/// A batch or the model fails, or its scores are NaN.
pub fn predict<M: Model>(model: &M, loader: &dyn Loader<M::Batch>, device: Device) -> Result<Vec<Vec<f64>>> {
    let _grad_mode = GradModeGuard::new();
    let mut rows = Vec::with_capacity(loader.n_samples());
    for batch in
        guarded(1, |batch| Location { phase: Phase::Test, epoch: 0, batch }, || loader.batches(0, 0))?
    {
        let (location, batch) = batch?;
        rows.extend(predict_batch(model, batch, device, location)?);
    }
    Ok(rows)
}

/// Returns the class scores of one batch: a row of `n_classes` scores per sample.
///
/// # Errors
/// The model fails, or its scores are NaN.
pub fn predict_batch<M: Model>(
    model: &M,
    batch: M::Batch,
    device: Device,
    location: Location,
) -> Result<Vec<Vec<f64>>> {
    guard(location, || {
        let _no_grad = no_grad_guard();
        let batch = batch.to_device(device);
        let n_samples = batch.n_samples();
        let output = model.forward(&batch, Mode::Eval)?;
        check_output(&output, n_samples)?;
        let scores = class_scores(&output.logits, location)?;
        Ok(scores.chunks(n_classes(&output.logits)).map(<[f64]>::to_vec).collect())
    })
}

fn n_classes(logits: &Tensor) -> usize {
    logits.size().last().map_or(1, |n| (*n).max(1) as usize)
}

/// Returns the softmax of the logits, computed in f64 so that each row sums to 1 up to rounding.
fn class_scores(logits: &Tensor, location: Location) -> Result<Vec<f64>> {
    let scores = to_vec::<f64>(&logits.f_softmax(-1, Kind::Double)?, Kind::Double)?;
    if scores.iter().any(|score| !score.is_finite()) {
        return Err(Error::NonFiniteScores { location, tensor: None });
    }
    Ok(scores)
}

fn to_vec<T: tch::kind::Element + Default + Clone>(tensor: &Tensor, kind: Kind) -> Result<Vec<T>> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(kind)?.f_contiguous()?;
    let mut values = vec![T::default(); flat.numel()];
    let n = values.len();
    flat.f_copy_data(&mut values, n)?;
    Ok(values)
}
