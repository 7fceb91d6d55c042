//! The callback contract: hooks into a run, each with a default that does nothing.

use faknow_metrics::{EpochRecord, Evaluation};

use crate::{BatchEnd, Error, Flow, Phase, Result, Run, StopReason};

/// Watches a run, and may end it or change its weights and learning rates.
///
/// The life of a run, hooks in italics of code:
///
/// ```text
/// on_fit_start
/// for each epoch:
///     on_epoch_start
///     for each training batch:      forward, backward, clip, step;  on_batch_end
///                                   a schedule of steps steps
///     for each validation batch:    forward;                        on_evaluation_batch_end
///     the epoch is recorded in run.history, run.best is judged, other schedules step
///     on_epoch_end
/// on_fit_end                        (after an error: on_error instead)
/// test, at any time later:          on_evaluation_batch_end …, on_test_end
/// ```
///
/// Callbacks are called in the order in which they were added. All of them are told of an epoch's end even if
/// one of them stops the run; the first reason counts.
pub trait Callback: Send {
    /// Name of the callback in messages.
    fn name(&self) -> &str {
        let path = std::any::type_name::<Self>();
        let path = path.split('<').next().unwrap_or(path);
        path.rsplit("::").next().unwrap_or(path)
    }

    /// Before the first epoch: the place to check settings against the run, before anything is computed.
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// Before the first batch of an epoch.
    fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// After the weights were updated from a batch.
    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        let _ = (run, batch);
        Ok(Flow::Continue)
    }

    /// After `done` of `n_batches` batches of a validation or test.
    fn on_evaluation_batch_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        done: usize,
        n_batches: usize,
    ) -> Result<()> {
        let _ = (run, phase, done, n_batches);
        Ok(())
    }

    /// After an epoch's training and validation; `record` is also the last of `run.history`.
    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        let _ = (run, record);
        Ok(Flow::Continue)
    }

    /// After the last epoch; the weights are already those that the run ends with.
    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        let _ = (run, reason);
        Ok(())
    }

    /// After a test.
    fn on_test_end(&mut self, run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        let _ = (run, evaluation);
        Ok(())
    }

    /// The run fails with `message`: close what is open. Takes the place of `on_fit_end`.
    fn on_error(&mut self, run: &mut Run, message: &str) {
        let _ = (run, message);
    }
}

/// Callbacks in a row; the row is itself a callback.
#[derive(Default)]
pub struct Callbacks(Vec<Box<dyn Callback>>);

impl Callbacks {
    /// Adds a callback behind those that are there.
    pub fn push(&mut self, callback: impl Callback + 'static) {
        self.0.push(Box::new(callback));
    }

    /// Number of callbacks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells each in turn, catching panics; all are told even if one stops or fails, the first answer that is
    /// not `Continue` counts.
    fn each(&mut self, mut tell: impl FnMut(&mut dyn Callback) -> Result<Flow>) -> Result<Flow> {
        let mut answer = Ok(Flow::Continue);
        for callback in &mut self.0 {
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tell(callback.as_mut())))
                .unwrap_or_else(|panic| {
                    let message = panic
                        .downcast_ref::<String>()
                        .cloned()
                        .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                        .unwrap_or_else(|| "no message".to_owned());
                    let callback = callback.name().to_owned();
                    Err(Error::Custom { callback, message: format!("panicked: {message}") })
                });
            if matches!(answer, Ok(Flow::Continue)) {
                answer = told;
            }
        }
        answer
    }
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|c| c.name())).finish()
    }
}

impl Callback for Callbacks {
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        self.each(|c| c.on_fit_start(run).map(|()| Flow::Continue)).map(drop)
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        self.each(|c| c.on_epoch_start(run).map(|()| Flow::Continue)).map(drop)
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        self.each(|c| c.on_batch_end(run, batch))
    }

    fn on_evaluation_batch_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        done: usize,
        n_batches: usize,
    ) -> Result<()> {
        self.each(|c| c.on_evaluation_batch_end(run, phase, done, n_batches).map(|()| Flow::Continue))
            .map(drop)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        self.each(|c| c.on_epoch_end(run, record))
    }

    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        self.each(|c| c.on_fit_end(run, reason).map(|()| Flow::Continue)).map(drop)
    }

    fn on_test_end(&mut self, run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        self.each(|c| c.on_test_end(run, evaluation).map(|()| Flow::Continue)).map(drop)
    }

    fn on_error(&mut self, run: &mut Run, message: &str) {
        // An error is on its way already; a second one from here would hide it.
        let _ = self.each(|c| {
            c.on_error(run, message);
            Ok(Flow::Continue)
        });
    }
}
