//! A callback that calls a closure in every hook.

use faknow_callbacks::{
    BatchEnd, Callback, FitEnd, Flow, HookResult, PassProgress, Phase, Run, SavedCheckpoint,
};
use faknow_metrics::{EpochRecord, Evaluation};

/// Calls a closure in every hook, with the name of the hook.
pub(crate) struct AtHook<F>(pub(crate) F);

/// All hooks of a fit, in the order in which they are first called.
pub(crate) const HOOKS_OF_FIT: [&str; 10] = [
    "on_fit_start",
    "on_epoch_start",
    "on_batch_start",
    "on_batch_end",
    "on_checkpoint",
    "on_evaluation_start",
    "on_evaluation_batch_end",
    "on_evaluation_end",
    "on_epoch_end",
    "on_fit_end",
];

impl<F: FnMut(&mut Run, &'static str) -> HookResult + Send + 'static> AtHook<F> {
    fn flow(&mut self, run: &mut Run, hook: &'static str) -> HookResult<Flow> {
        (self.0)(run, hook).map(|()| Flow::Continue)
    }
}

impl<F: FnMut(&mut Run, &'static str) -> HookResult + Send + 'static> Callback for AtHook<F> {
    fn name(&self) -> &str {
        "AtHook"
    }

    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        (self.0)(run, "on_fit_start")
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> HookResult {
        (self.0)(run, "on_epoch_start")
    }

    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        (self.0)(run, "on_batch_start")
    }

    fn on_batch_end(&mut self, run: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
        self.flow(run, "on_batch_end")
    }

    fn on_evaluation_start(&mut self, run: &mut Run, _: Phase) -> HookResult {
        (self.0)(run, "on_evaluation_start")
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, _: Phase, _: PassProgress) -> HookResult {
        (self.0)(run, "on_evaluation_batch_end")
    }

    fn on_evaluation_end(&mut self, run: &mut Run, _: Phase, _: &Evaluation) -> HookResult<Flow> {
        self.flow(run, "on_evaluation_end")
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> HookResult<Flow> {
        self.flow(run, "on_epoch_end")
    }

    fn on_checkpoint(&mut self, run: &mut Run, _: &SavedCheckpoint) -> HookResult {
        (self.0)(run, "on_checkpoint")
    }

    fn on_fit_end(&mut self, run: &mut Run, _: FitEnd<'_>) -> HookResult {
        (self.0)(run, "on_fit_end")
    }
}
