//! A callback that pauses a run after an epoch.

use faknow_callbacks::{
    BatchEnd, Callback, FitEnd, FitStart, Flow, HookResult, PassProgress, Phase, Run, StopReason,
};
use faknow_metrics::EpochRecord;
use faknow_trainer::Interrupt;

/// Interrupts a run at the end of an epoch.
///
/// An interrupt, in contrast to a smaller number of epochs, does not affect the schedule, early stopping and validation. So
/// a run that is paused and resumed has the same result as an uninterrupted run.
pub(crate) struct Pause {
    epoch: usize,
    /// Interrupt of the run, which is also requested when `all` is.
    run: Interrupt,
    all: Interrupt,
}

impl Pause {
    /// Creates a pause at the end of an epoch of the run with the interrupt `run`; a request of `all` interrupts the run
    /// immediately.
    pub(crate) fn new(epoch: usize, run: Interrupt, all: Interrupt) -> Self {
        Self { epoch, run, all }
    }

    fn forward_request(&self) {
        if self.all.is_requested() {
            self.run.request();
        }
    }
}

impl Callback for Pause {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        // It was paused before, but its process was killed before the pause was recorded.
        if run.start() == FitStart::Resumed && run.history().epochs.len() >= self.epoch {
            self.run.request();
        }
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
        self.forward_request();
        Ok(Flow::Continue)
    }

    fn on_evaluation_batch_end(&mut self, _: &mut Run, _: Phase, _: PassProgress) -> HookResult {
        self.forward_request();
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> HookResult<Flow> {
        if run.epoch() >= self.epoch {
            self.run.request();
        }
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, _: &mut Run, end: FitEnd<'_>) -> HookResult {
        // A run that ended by itself is not paused: its last steps follow.
        if end.is_ok_and(|reason| *reason != StopReason::Interrupted) && !self.all.is_requested() {
            self.run.clear();
        }
        Ok(())
    }
}
