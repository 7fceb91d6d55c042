//! The callback contract: hooks into a run, each with a default that does nothing.

use faknow_metrics::{EpochRecord, Evaluation};

use crate::{BatchEnd, Error, Flow, Phase, Result, Run, SavedCheckpoint, State, StopReason};

/// Watches a run, and may end it or change its weights and learning rates.
///
/// The life of a run, with the hooks on the right:
///
/// ```text
/// the run begins, or goes on from a checkpoint         on_fit_start, and then on_resume
/// for each epoch:                                      on_epoch_start
///     for each training batch:                         on_batch_start
///         forward, backward, clip, step                on_batch_end
///         a schedule of steps steps
///         if a validation inside the epoch is due:     on_validation_start … on_validation_end
///         if a checkpoint is due:                      on_checkpoint
///     validation:                                      on_validation_start
///         for each batch: forward                      on_evaluation_batch_end … on_evaluation_end
///     the epoch is recorded in run.history,
///     run.best is judged, other schedules step         on_validation_end, on_epoch_end
///     checkpoints                                      on_checkpoint
/// the end                                              on_fit_end (after an error: on_error instead)
/// test, at any time later                              on_test_start, on_evaluation_batch_end …, on_evaluation_end,
///                                                      on_test_end
/// ```
///
/// Where gradients are accumulated over several batches, `on_batch_start` and `on_batch_end` frame one update.
/// Callbacks are called in the order in which they were added. All of them are told of an end even if one of them
/// stops the run or fails; the first answer counts. What a callback has to remember when a run is cut off it gives
/// in [`state`](Self::state): it becomes part of every checkpoint.
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

    /// All that this callback has to remember, beside its settings, for the run to go on as if it had not been
    /// cut off. Default: nothing.
    fn state(&self) -> Result<State> {
        Ok(State::default())
    }

    /// Takes over what [`state`](Self::state) gave, after `on_fit_start`.
    fn restore(&mut self, state: &State) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// The run stands where a checkpoint left it: after `on_fit_start` and `restore` of a resumed run, or when a
    /// run was rolled back. What was noted of later steps is void.
    fn on_resume(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// Before the first batch of an epoch.
    fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// Before the weights are updated from a batch.
    fn on_batch_start(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// After the weights were updated from a batch.
    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        let _ = (run, batch);
        Ok(Flow::Continue)
    }

    /// Before a validation.
    fn on_validation_start(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
        Ok(())
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

    /// After a pass over validation or test data, with all of its predictions: before `on_validation_end` or `on_test_end`.
    fn on_evaluation_end(&mut self, run: &mut Run, phase: Phase, evaluation: &Evaluation) -> Result<()> {
        let _ = (run, phase, evaluation);
        Ok(())
    }

    /// After a validation, at the end of an epoch or inside one; `record` tells of the epoch so far and is also the
    /// last of `run.history.epochs` or of `run.history.inside`.
    fn on_validation_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        let _ = (run, record);
        Ok(Flow::Continue)
    }

    /// After an epoch's training and validation; `record` is also the last of `run.history`.
    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        let _ = (run, record);
        Ok(Flow::Continue)
    }

    /// After a checkpoint was written; what callbacks change now is not in it.
    fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> Result<()> {
        let _ = (run, checkpoint);
        Ok(())
    }

    /// After the last epoch; the weights are already those that the run ends with.
    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        let _ = (run, reason);
        Ok(())
    }

    /// Before a test.
    fn on_test_start(&mut self, run: &mut Run) -> Result<()> {
        let _ = run;
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

    /// A name for each that no other has: the callback's own, with a number from the second of that name on.
    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::with_capacity(self.0.len());
        for callback in &self.0 {
            let name = callback.name();
            let mut key = name.to_owned();
            let mut number = 1;
            while keys.contains(&key) {
                number += 1;
                key = format!("{name}-{number}");
            }
            keys.push(key);
        }
        keys
    }

    /// Tells each in turn, catching panics; all are told even if one stops or fails, the first answer that is
    /// not `Continue` counts.
    fn each(&mut self, mut tell: impl FnMut(&mut dyn Callback) -> Result<Flow>) -> Result<Flow> {
        let mut answer = Ok(Flow::Continue);
        for callback in &mut self.0 {
            let name = callback.name().to_owned();
            let told = guard(&name, || tell(callback.as_mut()));
            match (&answer, told) {
                (Ok(Flow::Continue), told) => answer = told,
                (_, Err(error)) => tracing::warn!("{error}"),
                _ => {}
            }
        }
        answer
    }
}

/// What `work` answers; a panic in it is an error of the callback `name`.
fn guard<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_else(|| "no message".to_owned());
        Err(Error::Custom { callback: name.to_owned(), message: format!("panicked: {message}") })
    })
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

    fn state(&self) -> Result<State> {
        let mut all = State::default();
        let mut values = serde_json::Map::new();
        for (key, callback) in self.keys().into_iter().zip(&self.0) {
            let state = guard(&key, || callback.state())?;
            let named = state.tensors.into_iter().map(|(name, tensor)| (format!("{key}/{name}"), tensor));
            all.tensors.extend(named);
            if !state.values.is_null() {
                values.insert(key, state.values);
            }
        }
        if !values.is_empty() {
            all.values = values.into();
        }
        Ok(all)
    }

    /// Gives each the state under its name; callbacks that were not there when the state was taken begin afresh.
    fn restore(&mut self, state: &State) -> Result<()> {
        for (key, callback) in self.keys().into_iter().zip(&mut self.0) {
            let prefix = format!("{key}/");
            let tensors = state.tensors.iter().filter_map(|(name, tensor)| {
                Some((name.strip_prefix(&prefix)?.to_owned(), tensor.shallow_clone()))
            });
            let values = state.values.get(&key).cloned().unwrap_or_default();
            let own = State { values, tensors: tensors.collect() };
            if !own.is_empty() {
                guard(&key, || callback.restore(&own))?;
            }
        }
        Ok(())
    }

    fn on_resume(&mut self, run: &mut Run) -> Result<()> {
        self.each(|c| c.on_resume(run).map(|()| Flow::Continue)).map(drop)
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        self.each(|c| c.on_epoch_start(run).map(|()| Flow::Continue)).map(drop)
    }

    fn on_batch_start(&mut self, run: &mut Run) -> Result<()> {
        self.each(|c| c.on_batch_start(run).map(|()| Flow::Continue)).map(drop)
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        self.each(|c| c.on_batch_end(run, batch))
    }

    fn on_validation_start(&mut self, run: &mut Run) -> Result<()> {
        self.each(|c| c.on_validation_start(run).map(|()| Flow::Continue)).map(drop)
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

    fn on_evaluation_end(&mut self, run: &mut Run, phase: Phase, evaluation: &Evaluation) -> Result<()> {
        self.each(|c| c.on_evaluation_end(run, phase, evaluation).map(|()| Flow::Continue)).map(drop)
    }

    fn on_validation_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        self.each(|c| c.on_validation_end(run, record))
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        self.each(|c| c.on_epoch_end(run, record))
    }

    fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> Result<()> {
        self.each(|c| c.on_checkpoint(run, checkpoint).map(|()| Flow::Continue)).map(drop)
    }

    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        self.each(|c| c.on_fit_end(run, reason).map(|()| Flow::Continue)).map(drop)
    }

    fn on_test_start(&mut self, run: &mut Run) -> Result<()> {
        self.each(|c| c.on_test_start(run).map(|()| Flow::Continue)).map(drop)
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
