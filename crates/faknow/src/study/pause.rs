//! Ends a run after some epoch so that it can be resumed as if it had not been: planned, rather than by a signal.

use faknow_callbacks::{BatchEnd, Callback, FitStart, Flow, HookResult, PassProgress, Phase, Run};
use faknow_metrics::EpochRecord;
use faknow_trainer::Interrupt;

/// Interrupts a run at the end of an epoch.
///
/// That the run is interrupted, rather than made shorter, keeps everything that depends on its length: its schedule,
/// early stopping, when it validates. So what is paused and resumed is the run that was never paused.
pub(crate) struct Pause {
    after: usize,
    /// The run's own, which is also asked for when someone asks for the end of everything.
    run: Interrupt,
    all: Interrupt,
}

impl Pause {
    /// A pause at the end of epoch `after` of the run that listens to `run`; a request to `all` ends it at once.
    pub(crate) fn new(after: usize, run: Interrupt, all: Interrupt) -> Self {
        Self { after, run, all }
    }

    fn hand_on(&self) {
        if self.all.is_requested() {
            self.run.request();
        }
    }
}

impl Callback for Pause {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        // It was paused before, and the process that did it was killed at once.
        if run.start() == FitStart::Resumed && run.history().epochs.len() >= self.after {
            self.run.request();
        }
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
        self.hand_on();
        Ok(Flow::Continue)
    }

    fn on_evaluation_batch_end(&mut self, _: &mut Run, _: Phase, _: PassProgress) -> HookResult {
        self.hand_on();
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> HookResult<Flow> {
        if run.epoch() >= self.after {
            self.run.request();
        }
        Ok(Flow::Continue)
    }
}
