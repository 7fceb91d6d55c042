//! Closures as training steps.

use faknow_model::Model;

use super::{StepContext, TrainStep};
use crate::{Optimizer, Result, StepOutput, TrainerBuilder};

impl<M: Model> TrainerBuilder<M> {
    /// Sets a closure as the training step, for steps without state.
    ///
    /// ```
    /// # use faknow_data::{DataLoader, TensorDataset};
    /// # use faknow_model::{Mode, Model, Output, Result, loss};
    /// # use faknow_trainer::Trainer;
    /// # use tch::{Device, Tensor, kind, nn};
    /// # struct Linear(nn::Linear);
    /// # impl Model for Linear {
    /// #     type Batch = (Tensor, Option<Tensor>);
    /// #     fn forward(&self, batch: &Self::Batch, _: Mode) -> Result<Output> {
    /// #         loss::classify(batch.0.apply(&self.0), batch)
    /// #     }
    /// # }
    /// # let vars = nn::VarStore::new(Device::Cpu);
    /// # let model = Linear(nn::linear(vars.root(), 2, 2, Default::default()));
    /// let mut trainer = Trainer::builder(model, vars)
    ///     .max_epochs(1)
    ///     .step_fn(|model, batch, optimizer, context| {
    ///         let noise = context.rng().normal();
    ///         let noisy = (&batch.0 + 0.1 * noise, batch.1.as_ref().map(Tensor::shallow_clone));
    ///         let loss = context.check_loss(model.forward(&noisy, Mode::Train)?.loss, optimizer)?;
    ///         optimizer.backward_step(&loss.total)?;
    ///         Ok(loss)
    ///     })
    ///     .build()?;
    /// # let data = TensorDataset::new(Tensor::randn([8, 2], kind::FLOAT_CPU), Tensor::from_slice(&[0_i64, 1].repeat(4)))?;
    /// trainer.fit(&DataLoader::builder(data).build()?, None)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn step_fn<O: Into<StepOutput>>(
        self,
        step: impl FnMut(&mut M, &M::Batch, &mut Optimizer, StepContext) -> Result<O> + Send + 'static,
    ) -> Self {
        self.step(StepFn(step))
    }
}

/// A training step without state.
struct StepFn<F>(F);

impl<M, F, O> TrainStep<M> for StepFn<F>
where
    M: Model,
    O: Into<StepOutput>,
    F: FnMut(&mut M, &M::Batch, &mut Optimizer, StepContext) -> Result<O> + Send,
{
    fn step(
        &mut self,
        model: &mut M,
        batch: &M::Batch,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        (self.0)(model, batch, optimizer, context).map(Into::into)
    }
}
