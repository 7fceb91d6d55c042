//! One update of the weights from the batches of a window.

use std::time::Instant;

use faknow_callbacks::BatchEnd;
use faknow_data::Batch;
use faknow_model::{Loss, Model};
use tch::{Tensor, no_grad, with_grad};

use crate::error::Location;
use crate::fit::guard::guard;
use crate::fit::seeds::with_seed;
use crate::fit::shapes::check_batch;
use crate::optim::Window;
use crate::step::StepContext;
use crate::{LossSums, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Takes gradients from the batches of a window and updates the weights once, with the noise of step `step`.
    pub(crate) fn update_once(
        &mut self,
        window: Vec<(Location, M::Batch)>,
        step: u64,
        reads_loss: bool,
    ) -> Result<Update> {
        let batches: Vec<&M::Batch> = window.iter().map(|(_, batch)| batch).collect();
        if let Some((location, _)) = window.first() {
            guard(*location, || self.step.begin_window(&batches))?;
        }
        let n_batches = window.len();
        let n_samples: usize = window.iter().map(|(_, batch)| batch.n_samples()).sum();
        let mut losses = Vec::with_capacity(n_batches);
        with_seed(self.settings.seed, step, || {
            for (number, (location, batch)) in window.into_iter().enumerate() {
                let n = batch.n_samples();
                let weight = if n_batches == 1 { 1.0 } else { n as f64 / n_samples as f64 };
                let last = number + 1 == n_batches;
                self.optimizer.set_window(Window { weight, first: number == 0, last });
                let context =
                    StepContext { location, step, position: number, seed: self.settings.seed, reads_loss };
                // With gradients, even if a model that panicked inside `no_grad` left them off.
                let loss = guard(location, || {
                    with_grad(|| {
                        check_batch(&batch)?;
                        let start = Instant::now();
                        let batch = batch.to_device(self.device);
                        self.profile.transfer += start.elapsed().as_secs_f64();
                        let start = Instant::now();
                        let loss = self.step.step(&mut self.model, &batch, &mut self.optimizer, context);
                        let (backward, optimizer) = self.optimizer.take_times();
                        self.profile.add_step(start.elapsed(), backward, optimizer);
                        loss
                    })
                })?;
                losses.push((detached(&loss), n));
            }
            Ok(Update { losses, n_samples })
        })
    }
}

/// What an update was made from.
pub(crate) struct Update {
    /// Loss and samples of each batch.
    pub(crate) losses: Vec<(Loss, usize)>,
    pub(crate) n_samples: usize,
}

impl Update {
    /// What callbacks hear of it: the losses as means over all samples.
    pub(crate) fn end(mut self, grad_norm: Option<&Tensor>) -> Result<BatchEnd> {
        let grad_norm = grad_norm.map(Tensor::shallow_clone);
        let n_samples = self.n_samples;
        if self.losses.len() == 1
            && let Some((loss, _)) = self.losses.pop()
        {
            return Ok(BatchEnd { n_samples, loss: loss.total, parts: loss.parts, grad_norm });
        }
        let mut sums = LossSums::default();
        for (loss, n) in &self.losses {
            sums.add(loss, *n)?;
        }
        let (loss, parts) = sums.tensors(self.losses.first().map(|(loss, _)| loss))?;
        Ok(BatchEnd { n_samples, loss, parts, grad_norm })
    }
}

/// A loss without its graph.
fn detached(loss: &Loss) -> Loss {
    no_grad(|| Loss {
        total: loss.total.detach(),
        parts: loss.parts.iter().map(|(name, part)| (*name, part.detach())).collect(),
    })
}
