//! The trait [`Callback`]: hooks into a training run, each with a default that does nothing.

use std::any::Any;

use faknow_metrics::{EpochRecord, Evaluation};
use serde_json::Value;

use crate::{
    BatchEnd, FitEnd, Flow, HookResult, PassProgress, Phase, Run, SavedCheckpoint, State, StopReason,
};

/// Observes a training run, and may stop it or change its weights and learning rates.
///
/// The phases of a run, with the hooks on the right:
///
/// ```text
/// the run starts, is resumed or rolled back            on_fit_start, then restore unless it is new
/// for each epoch:                                      on_epoch_start
///     for each training batch:                         on_batch_start
///         forward, backward, clip, step                on_batch_end
///         learning-rate schedules by step advance
///         if a validation within the epoch is due:     on_evaluation_start … on_evaluation_end
///         if a checkpoint is due:                      on_checkpoint
///     validation:                                      on_evaluation_start
///         for each batch: forward                      on_evaluation_batch_end
///     the epoch is recorded in run.history(),
///     run.best() is updated, other schedules advance   on_evaluation_end, on_epoch_end
///     checkpoints are saved                            on_checkpoint
/// the fit ends, or fails                               on_fit_end
/// test, at any time later                              on_evaluation_start, on_evaluation_batch_end …,
///                                                      on_evaluation_end
/// ```
///
/// With gradient accumulation, `on_batch_start` and `on_batch_end` are called once per update. Callbacks are called in
/// the order in which they were added, all of them even if one stops the run or fails. An error takes precedence over a
/// stop, and the first error or stop counts. A hook may return any error, see [`HookResult`]. The
/// [`state`](Self::state) of a callback is part of every checkpoint.
pub trait Callback: Any + Send {
    /// Returns the name of the callback in messages. Default: the name of its type.
    fn name(&self) -> &str {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// Returns the key of [`state`](Self::state) in checkpoints, which must be unique within the run.
    /// Required for callbacks that have a state. Default: `None`.
    fn key(&self) -> Option<&str> {
        None
    }

    /// Returns the state that a resumed run needs to continue as if it had not been interrupted, without the settings.
    /// Default: an empty state.
    fn state(&self) -> HookResult<State> {
        Ok(State::default())
    }

    /// Restores a saved [`state`](Self::state). Called after `on_fit_start`.
    fn restore(&mut self, state: &State) -> HookResult {
        let _ = state;
        Ok(())
    }

    /// Returns the settings that a resumed run compares with those of its start, as an object; they are recorded as
    /// `<key>.<name>`. Default: none.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Returns the reason why this callback stops the run at the current point of its history, if it does. A run that was
    /// stopped by early stopping is continued on resume unless a callback still has a reason. Called after `restore`.
    /// Default: `None`.
    fn reason_to_stop(&self, run: &Run) -> Option<StopReason> {
        let _ = run;
        None
    }

    /// Returns whether this callback writes or shows values that other callbacks log. Such callbacks are called after all
    /// others at the end of an epoch, an evaluation and the fit. Default: false.
    fn is_log(&self) -> bool {
        false
    }

    /// Returns whether this callback only shows something. If it fails or panics, it is removed with a warning, and the run
    /// continues. Default: false.
    fn is_display(&self) -> bool {
        false
    }

    /// Called before the first epoch, and after a run was resumed or rolled back (see [`Run::start`]). Checks settings
    /// against the run and discards records of later steps.
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

    /// Called after a validation (at the end of an epoch or within one) or a test, with all of its predictions.
    ///
    /// After a validation, [`Run::record`] is its record: of the completed epoch, or of the epoch so far. Stopping a test
    /// has no effect.
    fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &Evaluation,
    ) -> HookResult<Flow> {
        let _ = (run, phase, evaluation);
        Ok(Flow::Continue)
    }

    /// Called after the training and validation of an epoch; `record` is the last record of `run.history()`.
    ///
    /// The last epoch of a run is always validated: if one of these hooks stops the run after an epoch without validation, it
    /// is validated then, and the hooks of [logs](Self::is_log) are called afterwards.
    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let _ = (run, record);
        Ok(Flow::Continue)
    }

    /// Called after a checkpoint was written; changes made here are not part of it. With background checkpoints, the call
    /// may come some updates later, but before the next checkpoint is written and before `on_fit_end`.
    fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> HookResult {
        let _ = (run, checkpoint);
        Ok(())
    }

    /// Called at the end of the fit, with the stop reason or the error, also if it failed before `on_fit_start`. The
    /// weights are already the final weights of the run.
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
