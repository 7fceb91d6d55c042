//! The default training step: forward, backward, clip, update.

use faknow_data::Batch;
use faknow_model::layers::with_sparse_gradients;
use faknow_model::{Criterion, Loss, Mode, Model, Output};
use serde_json::{Value, json};
use tch::Tensor;

use crate::step::shapes::check_output;
use crate::{Error, Optimizer, Result, StepContext, StepOutput, TrainStep};

/// The default training step: forward, backward, clip, update.
///
/// By default, it minimizes the model's own loss. A [`Criterion`] replaces that loss, or its part named
/// [`Loss::CLASSIFICATION`] if the loss has parts. Validation uses the model's own loss, so that runs with different
/// criteria are comparable.
///
/// With class weights, the loss of a batch is normalized by the sum of the weights of its labels rather than by their
/// number. If gradients of several batches are accumulated for one update, it is normalized by the weights of all of them,
/// so that the update equals that of one large batch.
///
/// ```
/// use faknow_model::{ClassWeights, Criterion};
/// use faknow_trainer::Supervised;
///
/// let class_weights = Some(ClassWeights::from_counts(&[900, 100])?);
/// let step = Supervised::new(Criterion { class_weights, label_smoothing: 0.1, ..Criterion::default() })?;
/// # Ok::<(), faknow_model::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Supervised {
    criterion: Option<Criterion>,
    /// Mean class weight of the samples in the current window, if it has several batches and there are class weights.
    mean_weight: Option<f64>,
}

impl Supervised {
    /// Creates the step with a criterion in place of the model's own loss.
    ///
    /// # Errors
    /// A setting is outside its range; class weights are `balanced` and not computed yet, see
    /// [`Criterion::with_class_counts`].
    pub fn new(criterion: Criterion) -> faknow_model::Result<Self> {
        criterion.validate()?;
        criterion.explicit_weights()?;
        Ok(Self { criterion: Some(criterion), mean_weight: None })
    }

    /// Returns loss and logits of a training batch, for custom steps that build on this one.
    ///
    /// # Errors
    /// The model fails on the batch, or the criterion on its output; [`Error::NoLabels`] if the loss is missing because the
    /// batch has no labels; as [`StepContext::check_loss`].
    pub fn forward<M: Model>(
        &self,
        model: &M,
        batch: &M::Batch,
        optimizer: &Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let output = model.forward(batch, Mode::Train)?;
        check_output(&output, batch.n_samples())?;
        let Output { logits, loss } = output;
        let loss = match (&self.criterion, loss, batch.labels()) {
            (Some(criterion), Some(own), Some(labels)) => {
                let value = self.value(criterion, &logits, labels)?;
                Some(with_classification(own, value)?)
            }
            (Some(criterion), None, Some(labels)) => {
                Some(Loss::single(self.value(criterion, &logits, labels)?))
            }
            (_, None, None) => return Err(Error::NoLabels { location: context.location }),
            (_, own, _) => own,
        };
        Ok(StepOutput::new(context.check_loss(loss, optimizer)?).logits(logits))
    }

    fn value(&self, criterion: &Criterion, logits: &Tensor, labels: &Tensor) -> faknow_model::Result<Tensor> {
        match self.mean_weight {
            None => criterion.loss(logits, labels),
            // The optimizer multiplies this by the batch's share of the samples: the result is the batch's part of the sum
            // over the window, divided by the weight of the window.
            Some(mean) => Ok(criterion.sum(logits, labels)?.f_div_scalar(mean * labels.numel() as f64)?),
        }
    }
}

impl<M: Model> TrainStep<M> for Supervised {
    fn start_window(&mut self, batches: &[&M::Batch]) -> Result<()> {
        self.mean_weight = None;
        let Some(criterion) = self.criterion.as_ref().filter(|criterion| criterion.class_weights.is_some())
        else {
            return Ok(());
        };
        if batches.len() > 1 {
            let (mut weight, mut n_samples) = (0.0, 0);
            for batch in batches {
                // Invalid labels are reported when the batch itself is processed.
                weight +=
                    batch.labels().and_then(|labels| criterion.total_weight(labels).ok()).unwrap_or(0.0);
                n_samples += batch.n_samples();
            }
            self.mean_weight = Some(weight / n_samples as f64);
        }
        Ok(())
    }

    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let output = with_sparse_gradients(|| self.forward(model, batch, optimizer, context))?;
        optimizer.backward_step(&output.loss.total)?;
        Ok(output)
    }

    fn settings(&self) -> Value {
        json!({ "name": "supervised", "criterion": self.criterion })
    }
}

/// Replaces the classification part of the model's own loss by `value`.
fn with_classification(own: Loss, value: Tensor) -> Result<Loss> {
    let Loss { total, mut parts } = own;
    if parts.is_empty() {
        return Ok(Loss::single(value));
    }
    let Some(part) = parts.iter_mut().find(|(name, _)| *name == Loss::CLASSIFICATION) else {
        let names: Vec<String> = parts.iter().map(|(name, _)| format!("`{name}`")).collect();
        return Err(Error::other(format!(
            "criterion: expected a part of the model's loss named `{}`, which the criterion replaces, got only {}",
            Loss::CLASSIFICATION,
            names.join(", ")
        )));
    };
    let total = total.f_sub(&part.1)?.f_add(&value)?;
    part.1 = value;
    Ok(Loss { total, parts })
}
