//! Two losses with separate optimizers, applied in turn on every batch.

use faknow_callbacks::State;
use faknow_model::{Loss, Model};
use tch::Tensor;

use crate::optim::Gradients;
use crate::step::with_part_name;
use crate::{Optimizer, Result, StepContext, StepOutput, Supervised, TrainStep};

/// On every batch, updates one part of the model with an auxiliary loss and optimizer, and then the rest of the model with
/// those of the trainer: for example CAFE, which first learns whether text and image match.
///
/// Each parameter belongs to one of the two optimizers: the trainer's optimizer does not update those of the auxiliary one
/// and vice versa, whatever the losses depend on. Each optimizer clips its gradients by its own setting.
///
/// If gradients of several batches are accumulated for one update, both optimizers accumulate; the auxiliary update happens
/// at the last batch, just before its main loss is computed. The main losses of the batches before it use the old
/// parameters.
///
/// The loss of the run is the main loss; the auxiliary loss is recorded as a part of it without being in its total: the mean
/// over the samples of the batches that have one. Learning rate, schedule and gradient norm of the run are those of the trainer's optimizer; the
/// auxiliary optimizer keeps its initial learning rate, even when a rollback lowers that of the run. Its state is part of
/// every checkpoint, so a resumed run is bitwise identical.
///
/// ```
/// use faknow_data::FieldBatch;
/// use faknow_model::{TextCnn, TextCnnConfig};
/// use faknow_trainer::{Clip, Optimizer, OptimizerConfig, Trainer, TwoOptimizers};
/// use tch::{Device, Kind, nn::VarStore};
///
/// let vars = VarStore::new(Device::Cpu);
/// let model = TextCnn::new(&vars.root(), &TextCnnConfig::default(), 100, 2)?;
/// let vectors = vars.variables()["word_embedding.weight"].shallow_clone();
/// // An auxiliary loss that keeps the word vectors short.
/// let auxiliary = Optimizer::for_parameters(OptimizerConfig::sgd(0.1), &vars, Clip::Norm(1.0), &["word_embedding.*".into()])?;
/// let length = move |_: &TextCnn, _: &FieldBatch| Ok(Some(vectors.f_square()?.f_mean(Kind::Float)?));
/// let trainer = Trainer::builder(model, vars).step(TwoOptimizers::new("length", auxiliary, length)).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TwoOptimizers<F> {
    name: &'static str,
    optimizer: Optimizer,
    loss: F,
    supervised: Supervised,
    /// Gradients of the auxiliary loss from the earlier batches of a window.
    accumulated: Gradients,
}

impl<F> TwoOptimizers<F> {
    /// Creates the step with an auxiliary loss of this name and its optimizer, see [`Optimizer::for_parameters`].
    ///
    /// `loss` returns the mean loss over the samples of a batch, a scalar, or `None` if it does not apply to the batch.
    pub fn new(name: &'static str, optimizer: Optimizer, loss: F) -> Self {
        let (supervised, accumulated) = (Supervised::default(), Gradients::default());
        Self { name, optimizer, loss, supervised, accumulated }
    }

    /// Sets how the main loss is computed. Default: the model's own loss.
    #[must_use]
    pub fn supervised(mut self, supervised: Supervised) -> Self {
        self.supervised = supervised;
        self
    }
}

impl<M, F> TrainStep<M> for TwoOptimizers<F>
where
    M: Model,
    F: Fn(&M, &M::Batch) -> faknow_model::Result<Option<Tensor>> + Send,
{
    fn start_window(&mut self, batches: &[&M::Batch]) -> Result<()> {
        TrainStep::<M>::start_window(&mut self.supervised, batches)
    }

    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let Self { optimizer: auxiliary, supervised, accumulated, .. } = self;
        let window = optimizer.window();
        auxiliary.set_window(window);
        auxiliary.set_deferred(optimizer.is_deferred());
        // Both losses may depend on all parameters: the gradients of one are set aside during the backward pass of the other.
        let main_gradients = optimizer.take_gradients()?;
        if !window.is_first {
            auxiliary.add_gradients(accumulated)?;
        }
        auxiliary.zero_grad();
        let value = (self.loss)(model, batch)?;
        let value = match value {
            Some(value) => {
                let loss = context.check_loss(Some(value.into()), auxiliary);
                let Loss { total, .. } = loss.map_err(|error| with_part_name(error, self.name))?;
                auxiliary.backward(&total)?;
                Some(total.detach())
            }
            None => None,
        };
        auxiliary.step()?;
        *accumulated = auxiliary.take_gradients()?;
        drop(optimizer.take_gradients()?);
        if !window.is_first {
            optimizer.add_gradients(&main_gradients)?;
        }

        let mut output = supervised.forward(model, batch, optimizer, context)?;
        optimizer.zero_grad();
        optimizer.backward(&output.loss.total)?;
        drop(auxiliary.take_gradients()?);
        optimizer.step()?;
        output.loss.parts.extend(value.map(|value| (self.name, value)));
        Ok(output)
    }

    fn state(&self) -> Result<State> {
        self.optimizer.state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.optimizer.restore(state)
    }

    fn check_finite(&mut self) -> Result<()> {
        self.optimizer.check_finite()
    }

    fn is_unchanged(&self) -> Result<bool> {
        Ok(!self.optimizer.has_updated())
    }
}
