//! Two losses with an optimizer each, one after the other on every batch.

use faknow_callbacks::State;
use faknow_model::{Loss, Model};
use tch::Tensor;

use crate::optim::Gradients;
use crate::step::named_part;
use crate::{Optimizer, Result, StepContext, StepOutput, Supervised, TrainStep};

/// First updates a part of the model by a loss and an optimizer of its own, then the rest of the model by the trainer's,
/// on every batch: CAFE, for example, which first learns whether text and image belong together.
///
/// Each parameter belongs to one of the two: those of the own optimizer are left alone by the trainer's, and all others by
/// the own one, whatever either loss depends on. Each optimizer clips its gradients by its own setting.
///
/// Where several batches make one update, so they do of each optimizer; the own one's comes with the last of them, just
/// before that batch's turn at the other loss, which the batches before it had at the parameters of old.
///
/// The trainer's loss is that of the run; the own one is recorded as a part of it, without being in its total, and counts
/// as 0 where a batch has none. The trainer's learning rate and schedule, and its gradient norm, are those of its own
/// optimizer; the other one keeps the rate that it was made with, also when a run is rolled back to go on at a lower rate.
/// Its state is part of every checkpoint, so that a resumed run goes on bit by bit.
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
/// // Word vectors that stay short, whatever the classes say.
/// let own = Optimizer::for_parameters(OptimizerConfig::sgd(0.1), &vars, Clip::Norm(1.0), &["word_embedding.*".into()])?;
/// let length = move |_: &TextCnn, _: &FieldBatch| Ok(Some(vectors.f_square()?.f_mean(Kind::Float)?));
/// let trainer = Trainer::builder(model, vars).step(TwoOptimizers::new("length", own, length)).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TwoOptimizers<F> {
    name: &'static str,
    optimizer: Optimizer,
    loss: F,
    supervised: Supervised,
    /// Gradients of the own loss from the earlier batches of a window.
    aside: Gradients,
}

impl<F> TwoOptimizers<F> {
    /// The step with a loss of this name and its optimizer, which comes from [`Optimizer::for_parameters`].
    ///
    /// `loss` gives the mean loss over a batch's samples, a scalar, or `None` if the batch has nothing for it to learn.
    pub fn new(name: &'static str, optimizer: Optimizer, loss: F) -> Self {
        let (supervised, aside) = (Supervised::default(), Gradients::default());
        Self { name, optimizer, loss, supervised, aside }
    }

    /// How the trainer's loss is computed. Default: the model's own.
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
        let Self { optimizer: own, supervised, aside, .. } = self;
        let window = optimizer.window();
        own.set_window(window);
        // Both losses may reach all parameters: the gradients of one are out of the way while the other goes backward.
        let of_rest = optimizer.take_gradients()?;
        if !window.is_first {
            own.add_gradients(aside)?;
        }
        own.zero_grad();
        let value = (self.loss)(model, batch)?;
        let value = match value {
            Some(value) => {
                let loss = context.check_loss(Some(value.into()), own);
                let Loss { total, .. } = loss.map_err(|error| named_part(error, self.name))?;
                own.backward(&total)?;
                total.detach()
            }
            None => Tensor::from(0.0),
        };
        own.step()?;
        *aside = own.take_gradients()?;
        drop(optimizer.take_gradients()?);
        if !window.is_first {
            optimizer.add_gradients(&of_rest)?;
        }

        let mut output = supervised.forward(model, batch, optimizer, context)?;
        optimizer.zero_grad();
        optimizer.backward(&output.loss.total)?;
        drop(own.take_gradients()?);
        optimizer.step()?;
        output.loss.parts.push((self.name, value));
        Ok(output)
    }

    fn state(&self) -> Result<State> {
        self.optimizer.state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.optimizer.restore(state)
    }

    fn is_unchanged(&self) -> Result<bool> {
        Ok(!self.optimizer.has_updated())
    }
}
