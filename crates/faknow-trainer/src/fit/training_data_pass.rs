//! The pass over the training data that some models need before their first update.

use faknow_data::{Batch as _, Loader, Rng};
use faknow_model::Model;
use tch::no_grad_guard;

use crate::error::Location;
use crate::system::guard::{guard, guarded};
use crate::{Result, Trainer};

/// Separates the random numbers of the pass from others of the same seed.
const STREAM: u64 = 0x7a55;

impl<M: Model> Trainer<M> {
    /// Initializes the buffers of a model that needs a pass over the training data; the batches are those of the first epoch.
    pub(crate) fn pass_training_data(&self, train: &dyn Loader<M::Batch>) -> Result<()> {
        let (model, device) = (&self.task.model, self.task.device);
        let Some(mut pass) = model.training_data_pass()? else { return Ok(()) };
        tracing::debug!("a pass over the training data initializes the model");
        let location_of = |batch| Location::training(1, batch);
        for batch in guarded(1, location_of, || train.batches(0, 0))? {
            let (location, batch) = batch?;
            guard(location, || {
                let _no_grad = no_grad_guard();
                Ok(pass.add(&batch.to_device(device))?)
            })?;
        }
        guard(location_of(1), || Ok(pass.finish(&mut Rng::from_parts(&[self.settings.seed, STREAM]))?))
    }
}
