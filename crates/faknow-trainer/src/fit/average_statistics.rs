//! The statistics of batch normalization for averaged weights, which are those of no weights that were trained.

use std::time::Instant;

use faknow_data::{Batch as _, Loader, derive_seed};
use faknow_model::layers::with_cumulative_statistics;
use faknow_model::{Mode, Model};
use tch::no_grad_guard;

use crate::error::Location;
use crate::fit::seeds::with_seed;
use crate::system::guard::{guard, guarded};
use crate::{Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Recomputes the statistics of the average over the training data, if they are needed (before a validation or a
    /// checkpoint) and the average has changed. As PyTorch's `update_bn`; training continues with its own statistics.
    pub(crate) fn update_average_statistics(
        &mut self,
        train: &dyn Loader<M::Batch>,
        is_needed: bool,
    ) -> Result<()> {
        let is_outdated = self.optimization.average.as_ref().is_some_and(|average| average.is_outdated());
        if !(is_needed && is_outdated) {
            return Ok(());
        }
        let start = Instant::now();
        self.check_finite()?;
        self.buffers.save()?;
        self.swap_average()?;
        let result = self.compute_statistics(train);
        // Swapped even after an error: training continues with the weights and buffers themselves.
        self.swap_average()?;
        self.buffers.restore()?;
        self.state.profile.validation += start.elapsed().as_secs_f64();
        if let (Some(average), Ok(())) = (&mut self.optimization.average, &result) {
            average.set_up_to_date();
        }
        result
    }

    /// Swaps weights and average, if there is one.
    pub(crate) fn swap_average(&mut self) -> Result<()> {
        self.optimization.average.as_mut().map_or(Ok(()), |average| average.swap())
    }

    /// Replaces the running statistics by their means over the batches of an epoch.
    fn compute_statistics(&self, train: &dyn Loader<M::Batch>) -> Result<()> {
        let (epoch, device, model) = (self.run.epoch(), self.task.device, &self.task.model);
        // The noise (dropout) differs from that of all updates.
        let seed = derive_seed(self.settings.seed, u64::MAX - 1);
        let location_of = move |batch| Location::training(epoch, batch);
        with_cumulative_statistics(|| {
            for batch in guarded(1, location_of, || train.batches(epoch.saturating_sub(1), 0))? {
                let (location, batch) = batch?;
                with_seed(seed, location.batch as u64, || {
                    guard(location, || {
                        let _no_grad = no_grad_guard();
                        model.forward(&batch.to_device(device), Mode::Train)?;
                        Ok(())
                    })
                })?;
                self.settings.interrupt.check()?;
            }
            Ok(())
        })
    }
}
