//! The builder method for a closure as a schedule.

use faknow_model::Model;

use super::{LambdaSchedule, Unit};
use crate::TrainerBuilder;

impl<M: Model> TrainerBuilder<M> {
    /// Multiplies the base learning rate of each parameter group by `factor(epoch)`, where `epoch` is the number of
    /// completed epochs, from 0.
    ///
    /// [`LambdaSchedule`] does the same for each step, or with a factor that depends on the base learning rate. Default: a
    /// constant learning rate.
    ///
    /// ```
    /// # use faknow_model::Model;
    /// # use faknow_trainer::TrainerBuilder;
    /// fn halve_every_ten_epochs<M: Model>(builder: TrainerBuilder<M>) -> TrainerBuilder<M> {
    ///     builder.schedule_fn(|epoch| 0.5_f64.powi((epoch / 10) as i32))
    /// }
    /// ```
    #[must_use]
    pub fn schedule_fn(self, factor: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        self.schedule(LambdaSchedule::new(Unit::Epoch, move |epoch, _base_lr| factor(epoch)))
    }
}
