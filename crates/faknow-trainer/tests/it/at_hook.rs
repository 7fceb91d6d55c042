//! A callback that does the same thing in every hook.

use faknow_callbacks::{BatchEnd, Callback, Flow, Phase, Result, Run, SavedCheckpoint, StopReason};
use faknow_metrics::{EpochRecord, Evaluation};

/// Calls a closure in every hook, with the hook's name.
pub(crate) struct AtHook<F>(pub(crate) F);

/// All hooks of a fit, in the order in which they are first called.
pub(crate) const HOOKS_OF_FIT: [&str; 10] = [
    "on_fit_start",
    "on_epoch_start",
    "on_batch_start",
    "on_batch_end",
    "on_checkpoint",
    "on_validation_start",
    "on_evaluation_batch_end",
    "on_validation_end",
    "on_epoch_end",
    "on_fit_end",
];

impl<F: FnMut(&mut Run, &'static str) -> Result<()> + Send> AtHook<F> {
    fn go_on(&mut self, run: &mut Run, hook: &'static str) -> Result<Flow> {
        (self.0)(run, hook).map(|()| Flow::Continue)
    }
}

impl<F: FnMut(&mut Run, &'static str) -> Result<()> + Send> Callback for AtHook<F> {
    fn name(&self) -> &str {
        "AtHook"
    }

    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        (self.0)(run, "on_fit_start")
    }

    fn on_resume(&mut self, run: &mut Run) -> Result<()> {
        (self.0)(run, "on_resume")
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        (self.0)(run, "on_epoch_start")
    }

    fn on_batch_start(&mut self, run: &mut Run) -> Result<()> {
        (self.0)(run, "on_batch_start")
    }

    fn on_batch_end(&mut self, run: &mut Run, _: &BatchEnd) -> Result<Flow> {
        self.go_on(run, "on_batch_end")
    }

    fn on_validation_start(&mut self, run: &mut Run) -> Result<()> {
        (self.0)(run, "on_validation_start")
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, _: Phase, _: usize, _: usize) -> Result<()> {
        (self.0)(run, "on_evaluation_batch_end")
    }

    fn on_validation_end(&mut self, run: &mut Run, _: &EpochRecord) -> Result<Flow> {
        self.go_on(run, "on_validation_end")
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> Result<Flow> {
        self.go_on(run, "on_epoch_end")
    }

    fn on_checkpoint(&mut self, run: &mut Run, _: &SavedCheckpoint) -> Result<()> {
        (self.0)(run, "on_checkpoint")
    }

    fn on_fit_end(&mut self, run: &mut Run, _: &StopReason) -> Result<()> {
        (self.0)(run, "on_fit_end")
    }

    fn on_test_start(&mut self, run: &mut Run) -> Result<()> {
        (self.0)(run, "on_test_start")
    }

    fn on_test_end(&mut self, run: &mut Run, _: &Evaluation) -> Result<()> {
        (self.0)(run, "on_test_end")
    }

    fn on_error(&mut self, run: &mut Run, _: &str) {
        let _ = (self.0)(run, "on_error");
    }
}
