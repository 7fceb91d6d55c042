//! The callback contract: hooks into a run, each with a default that does nothing.

use std::any::Any;

use faknow_metrics::{EpochRecord, Evaluation};

use crate::{BatchEnd, FitEnd, Flow, HookResult, PassProgress, Phase, Run, SavedCheckpoint, State};

/// Watches a run, and may end it or change its weights and learning rates.
///
/// The life of a run, with the hooks on the right:
///
/// ```text
/// the run starts, is resumed or rolled back            on_fit_start, then restore unless it is new
/// for each epoch:                                      on_epoch_start
///     for each training batch:                         on_batch_start
///         forward, backward, clip, step                on_batch_end
///         a schedule of steps steps
///         if a validation inside the epoch is due:     on_evaluation_start … on_evaluation_end
///         if a checkpoint is due:                      on_checkpoint
///     validation:                                      on_evaluation_start
///         for each batch: forward                      on_evaluation_batch_end
///     the epoch is recorded in run.history(),
///     run.best() is updated, other schedules step      on_evaluation_end, on_epoch_end
///     checkpoints                                      on_checkpoint
/// the fit ends, or fails                               on_fit_end
/// test, at any time later                              on_evaluation_start, on_evaluation_batch_end …,
///                                                      on_evaluation_end
/// ```
///
/// Where gradients are accumulated over several batches, `on_batch_start` and `on_batch_end` frame one update.
/// Callbacks are called in the order in which they were added. All of them are called even if one of them stops the run
/// or fails: an error takes precedence over a stop, and the first of each counts. A hook may return any error, see
/// [`HookResult`]. What a callback has to remember when a run is interrupted it returns from [`state`](Self::state): it
/// becomes part of every checkpoint.
pub trait Callback: Any + Send {
    /// Returns the name of the callback in messages. Default: that of its type.
    fn name(&self) -> &str {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// Returns the key of [`state`](Self::state) in checkpoints, different from those of the run's other callbacks.
    /// Required of callbacks that have a state. Default: none.
    fn key(&self) -> Option<&str> {
        None
    }

    /// Returns all that this callback has to remember, besides its settings, for a resumed run to continue as if it had
    /// not been interrupted. Default: nothing.
    fn state(&self) -> HookResult<State> {
        Ok(State::default())
    }

    /// Restores what [`state`](Self::state) returned, after `on_fit_start`.
    fn restore(&mut self, state: &State) -> HookResult {
        let _ = state;
        Ok(())
    }

    /// Whether this callback writes down or shows what the others measure and log: it is called after all of them when
    /// an epoch, an evaluation or the fit ends. Default: false.
    fn is_log(&self) -> bool {
        false
    }

    /// Called before the first epoch, and when a run was resumed or rolled back (see [`Run::start`]): the place to check
    /// settings against the run, and to discard what was recorded of later steps.
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        let _ = run;
        Ok(())
    }

    /// Called before the first batch of an epoch.
    fn on_epoch_start(&mut self, run: &mut Run) -> HookResult {
        let _ = run;
        Ok(())
    }

    /// Called before the weights are updated from a batch; learning rates set here apply to this update.
    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        let _ = run;
        Ok(())
    }

    /// Called after the weights were updated from a batch.
    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        let _ = (run, batch);
        Ok(Flow::Continue)
    }

    /// Called before a validation or test.
    fn on_evaluation_start(&mut self, run: &mut Run, phase: Phase) -> HookResult {
        let _ = (run, phase);
        Ok(())
    }

    /// Called after a batch of a validation or test.
    fn on_evaluation_batch_end(&mut self, run: &mut Run, phase: Phase, progress: PassProgress) -> HookResult {
        let _ = (run, phase, progress);
        Ok(())
    }

    /// Called after a validation (at the end of an epoch or inside one) or a test, with all of its predictions.
    ///
    /// [`Run::record`] is then the record of the validation: of the finished epoch, or of the epoch so far. That a test is
    /// stopped has no effect.
    fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &Evaluation,
    ) -> HookResult<Flow> {
        let _ = (run, phase, evaluation);
        Ok(Flow::Continue)
    }

    /// Called after an epoch's training and validation; `record` is also the last of `run.history()`.
    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let _ = (run, record);
        Ok(Flow::Continue)
    }

    /// Called after a checkpoint was written, which holds nothing of what callbacks change now. If checkpoints are written in the
    /// background that may be some updates later, but before the next one is written and before `on_fit_end`.
    fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> HookResult {
        let _ = (run, checkpoint);
        Ok(())
    }

    /// Called when the fit is over, with the reason why it stopped or the error that it failed with, be it before
    /// `on_fit_start`. The weights are already those that the run ends with.
    fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> HookResult {
        let _ = (run, result);
        Ok(())
    }
}

impl<C: Callback> From<C> for Box<dyn Callback> {
    fn from(callback: C) -> Self {
        Box::new(callback)
    }
}
