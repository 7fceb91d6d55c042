//! Closures as callbacks, for the two most common hooks.

use faknow_metrics::EpochRecord;

use crate::{BatchEnd, Callback, Flow, HookResult, Run};

/// Creates a callback that calls `f` after each epoch.
///
/// ```
/// use faknow_callbacks::{Callbacks, Flow, on_epoch_end};
///
/// let mut callbacks = Callbacks::default();
/// callbacks.push(on_epoch_end(|run, record| {
///     run.learning_rates.iter_mut().for_each(|lr| *lr *= 0.9);
///     assert_eq!(run.epoch(), record.epoch);
///     Ok(Flow::Continue)
/// }));
/// ```
pub fn on_epoch_end<F>(f: F) -> OnEpochEnd<F>
where
    F: FnMut(&mut Run, &EpochRecord) -> HookResult<Flow> + Send + 'static,
{
    OnEpochEnd(f)
}

/// Creates a callback that calls `f` after each update of the weights.
///
/// ```
/// use faknow_callbacks::{Flow, on_batch_end};
///
/// let budget = on_batch_end(|run, _batch| {
///     if run.samples() < 1_000_000 {
///         return Ok(Flow::Continue);
///     }
///     Ok(Flow::stop(format!("trained on {} samples", run.samples())))
/// });
/// # let _ = budget;
/// ```
pub fn on_batch_end<F>(f: F) -> OnBatchEnd<F>
where
    F: FnMut(&mut Run, &BatchEnd) -> HookResult<Flow> + Send + 'static,
{
    OnBatchEnd(f)
}

/// The callback that [`on_epoch_end`] returns.
pub struct OnEpochEnd<F>(F);

/// The callback that [`on_batch_end`] returns.
pub struct OnBatchEnd<F>(F);

impl<F: FnMut(&mut Run, &EpochRecord) -> HookResult<Flow> + Send + 'static> Callback for OnEpochEnd<F> {
    fn name(&self) -> &str {
        "on_epoch_end"
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        (self.0)(run, record)
    }
}

impl<F: FnMut(&mut Run, &BatchEnd) -> HookResult<Flow> + Send + 'static> Callback for OnBatchEnd<F> {
    fn name(&self) -> &str {
        "on_batch_end"
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        (self.0)(run, batch)
    }
}
