//! The callbacks of a run: calls each of them, turns panics and their own errors into errors with a place, and collects
//! what they log.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use faknow_data::common::panic_message;
use faknow_metrics::{Evaluation, Scores};

use crate::collect::{add_to_evaluation, add_to_record, check_name, check_train_name, set_in_epoch};
use crate::{
    BatchEnd, BoxError, Callback, Error, FitEnd, Flow, HookError, HookResult, PassProgress, Phase, Result,
    Run, SavedCheckpoint, State, StopReason,
};

/// An ordered list of callbacks, for a trainer or a custom loop.
///
/// Its methods are the hooks of [`Callback`]: each calls that hook of every callback, see there for the order.
#[derive(Default)]
pub struct Callbacks(Vec<Box<dyn Callback>>);

impl Callbacks {
    /// Appends a callback.
    pub fn push(&mut self, callback: impl Into<Box<dyn Callback>>) {
        self.0.push(callback.into());
    }

    /// Appends all callbacks of another list.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Returns the number of callbacks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no callbacks.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first callback of this type.
    ///
    /// ```
    /// use faknow_callbacks::{Callbacks, EarlyStopping, Freeze};
    ///
    /// let mut callbacks = Callbacks::default();
    /// callbacks.push(EarlyStopping::new(3));
    /// assert!(callbacks.get::<EarlyStopping>().is_some());
    /// assert!(callbacks.get::<Freeze>().is_none());
    /// ```
    pub fn get<C: Callback>(&self) -> Option<&C> {
        self.0.iter().find_map(|callback| {
            let callback: &dyn Any = callback.as_ref();
            callback.downcast_ref()
        })
    }

    /// Checks that no two callbacks have the same key.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`].
    pub fn check_keys(&self) -> Result<()> {
        for (i, second) in self.0.iter().enumerate() {
            let Some(key) = second.key() else { continue };
            if let Some(first) = self.0[..i].iter().find(|first| first.key() == Some(key)) {
                let (key, first, second) =
                    (key.to_owned(), name_of(first.as_ref()), name_of(second.as_ref()));
                return Err(Error::DuplicateKey { key, first, second });
            }
        }
        Ok(())
    }

    /// Returns the states of all callbacks, each under its key.
    ///
    /// # Errors
    /// A callback fails, or has a state and no key.
    pub fn state(&self) -> Result<State> {
        let mut all = State::default();
        let mut values = serde_json::Map::new();
        for callback in &self.0 {
            let state =
                caught(|| callback.state()).map_err(|error| bare_error(callback.as_ref(), "state", error))?;
            if state.is_empty() {
                continue;
            }
            let Some(key) = callback.key() else {
                return Err(Error::MissingKey { callback: name_of(callback.as_ref()) });
            };
            let named = state.tensors.into_iter().map(|(name, tensor)| (format!("{key}/{name}"), tensor));
            all.tensors.extend(named);
            if !state.values.is_null() {
                values.insert(key.to_owned(), state.values);
            }
        }
        if !values.is_empty() {
            all.values = values.into();
        }
        Ok(all)
    }

    /// Gives each callback the state saved under its key. A callback without a saved state starts from scratch; a saved state
    /// without its callback is dropped with a warning.
    ///
    /// # Errors
    /// A callback does not accept its state.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let of_values =
            state.values.as_object().into_iter().flat_map(|values| values.keys().map(String::as_str));
        let of_tensors = state.tensors.keys().filter_map(|name| name.split_once('/').map(|(key, _)| key));
        let mut unknown: BTreeSet<&str> = of_values.chain(of_tensors).collect();
        for callback in &mut self.0 {
            let Some(key) = callback.key().map(str::to_owned) else { continue };
            unknown.remove(key.as_str());
            let prefix = format!("{key}/");
            let tensors = state.tensors.iter().filter_map(|(name, tensor)| {
                Some((name.strip_prefix(&prefix)?.to_owned(), tensor.shallow_clone()))
            });
            let values = state.values.get(&key).cloned().unwrap_or_default();
            let own = State { values, tensors: tensors.collect() };
            if !own.is_empty() {
                caught(|| callback.restore(&own))
                    .map_err(|error| bare_error(callback.as_ref(), "restore", error))?;
            }
        }
        for key in unknown {
            tracing::warn!(
                "the checkpoint has a state of the callback `{key}`, which this run lacks: it is dropped"
            );
        }
        Ok(())
    }

    /// See [`Callback::on_fit_start`].
    ///
    /// # Errors
    /// A callback fails; the same holds for all hooks.
    pub fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        self.notify("on_fit_start", run, |c, run| proceed(c.on_fit_start(run)), set_in_epoch).map(drop)
    }

    /// See [`Callback::on_epoch_start`].
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        self.notify("on_epoch_start", run, |c, run| proceed(c.on_epoch_start(run)), set_in_epoch).map(drop)
    }

    /// See [`Callback::on_batch_start`].
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_batch_start(&mut self, run: &mut Run) -> Result<()> {
        // Logged for an update that was skipped.
        run.pending.clear();
        // The values wait for the samples of their batch.
        self.notify("on_batch_start", run, |c, run| proceed(c.on_batch_start(run)), |_| Ok(())).map(drop)
    }

    /// See [`Callback::on_batch_end`].
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        let add = |run: &mut Run| {
            for (name, value) in std::mem::take(&mut run.pending) {
                check_train_name(run, &name)?;
                run.progress_mut().logged.add(&name, value, batch.n_samples);
            }
            Ok(())
        };
        add(run)?;
        self.notify("on_batch_end", run, |c, run| c.on_batch_end(run, batch), add)
    }

    /// See [`Callback::on_evaluation_start`].
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_evaluation_start(&mut self, run: &mut Run, phase: Phase) -> Result<()> {
        run.pass_log.clear();
        let set = |run: &mut Run| {
            for (name, value) in std::mem::take(&mut run.pending) {
                check_name(&name)?;
                run.pass_log.set(&name, value);
            }
            Ok(())
        };
        self.notify("on_evaluation_start", run, |c, run| proceed(c.on_evaluation_start(run, phase)), set)
            .map(drop)
    }

    /// See [`Callback::on_evaluation_batch_end`].
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_evaluation_batch_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        progress: PassProgress,
    ) -> Result<()> {
        let add = |run: &mut Run| {
            for (name, value) in std::mem::take(&mut run.pending) {
                check_name(&name)?;
                run.pass_log.add(&name, value, progress.n_samples);
            }
            Ok(())
        };
        let call =
            |c: &mut dyn Callback, run: &mut Run| proceed(c.on_evaluation_batch_end(run, phase, progress));
        self.notify("on_evaluation_batch_end", run, call, add).map(drop)
    }

    /// See [`Callback::on_evaluation_end`]. What was logged during the pass, or is logged now, is added to the scores of
    /// `evaluation` and, of a validation, to the run's newest record, which the loop has added to the history before.
    ///
    /// # Errors
    /// A callback fails, or logs a value by a name that is taken.
    pub fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &mut Evaluation,
    ) -> Result<Flow> {
        let mut of_pass = Scores::new();
        std::mem::take(&mut run.pass_log).write_to(&mut of_pass);
        for (name, score) in of_pass {
            add_to_evaluation(run, phase, &mut evaluation.scores, name, score)?;
        }
        // The evaluation is both read by the callback and extended by what it logs.
        let evaluation = std::cell::RefCell::new(evaluation);
        let add = |run: &mut Run| {
            for (name, value) in std::mem::take(&mut run.pending) {
                check_name(&name)?;
                add_to_evaluation(run, phase, &mut evaluation.borrow_mut().scores, name, value)?;
            }
            Ok(())
        };
        let call =
            |c: &mut dyn Callback, run: &mut Run| c.on_evaluation_end(run, phase, &evaluation.borrow());
        self.notify("on_evaluation_end", run, call, add)
    }

    /// See [`Callback::on_epoch_end`]; the record is the last of the run's history.
    ///
    /// # Errors
    /// A callback fails, or logs a value by a name that is taken.
    pub fn on_epoch_end(&mut self, run: &mut Run) -> Result<Flow> {
        let call = |c: &mut dyn Callback, run: &mut Run| match run.history().last().cloned() {
            // Cloned for each callback: it has what those before have logged.
            Some(record) => c.on_epoch_end(run, &record),
            None => Err("the epoch is not in the run's history".into()),
        };
        self.notify("on_epoch_end", run, call, add_to_record)
    }

    /// See [`Callback::on_checkpoint`].
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> Result<()> {
        self.notify("on_checkpoint", run, |c, run| proceed(c.on_checkpoint(run, checkpoint)), set_in_epoch)
            .map(drop)
    }

    /// See [`Callback::on_fit_end`]. If the fit failed, an error of a callback is only logged.
    ///
    /// # Errors
    /// A callback fails at the end of a fit that did not.
    pub fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> Result<()> {
        let called =
            self.notify("on_fit_end", run, |c, run| proceed(c.on_fit_end(run, result)), add_to_record);
        match (called, result) {
            (Err(error), Err(_)) => {
                tracing::error!("after the fit failed: {error}");
                Ok(())
            }
            (called, _) => called.map(drop),
        }
    }

    /// Calls each callback in turn, logs last where something ends, catching panics; all are called even if one stops or
    /// fails. The first error counts, else the first stop; further errors are logged.
    fn notify(
        &mut self,
        hook: &'static str,
        run: &mut Run,
        mut call: impl FnMut(&mut dyn Callback, &mut Run) -> HookResult<Flow>,
        mut collect_logged: impl FnMut(&mut Run) -> Result<()>,
    ) -> Result<Flow> {
        let mut result = Ok(Flow::Continue);
        let logs_last = matches!(hook, "on_evaluation_end" | "on_epoch_end" | "on_fit_end");
        let passes: &[Option<bool>] = if logs_last { &[Some(false), Some(true)] } else { &[None] };
        for pass in passes {
            for callback in &mut self.0 {
                if pass.is_some_and(|logs| logs != callback.is_log()) {
                    continue;
                }
                let callback = callback.as_mut();
                let flow = caught(|| call(callback, run))
                    .map_err(|error| hook_error(callback, hook, run, error))
                    .and_then(|flow| collect_logged(run).map(|()| flow));
                match (&result, flow) {
                    (Err(_), Err(error)) => tracing::error!("{error}"),
                    (_, Err(error)) => result = Err(error),
                    (Ok(Flow::Continue), Ok(Flow::Stop(reason))) => {
                        result = Ok(Flow::Stop(signed(reason, callback)));
                    }
                    _ => {}
                }
            }
        }
        result
    }
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|c| name_of(c.as_ref()))).finish()
    }
}

fn proceed(result: HookResult) -> HookResult<Flow> {
    result.map(|()| Flow::Continue)
}

/// The result of `call`; a panic in it is an error.
fn caught<T>(call: impl FnOnce() -> HookResult<T>) -> HookResult<T> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(format!("panicked: {}", panic_message(&*panic)).into()))
}

/// The name of a callback, even if it panics when asked.
fn name_of(callback: &dyn Callback) -> String {
    catch_unwind(AssertUnwindSafe(|| callback.name().to_owned())).unwrap_or_else(|_| "a callback".to_owned())
}

/// An error of this crate as it is, any other with the callback's name and a place.
fn hook_error(callback: &dyn Callback, hook: &'static str, run: &Run, error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => {
            let callback = name_of(callback);
            Error::Hook(HookError { callback, hook, epoch: run.epoch(), step: run.step(), error })
        }
    }
}

/// As [`hook_error`], where no run is at hand.
fn bare_error(callback: &dyn Callback, hook: &'static str, error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::Hook(HookError { callback: name_of(callback), hook, epoch: 0, step: 0, error }),
    }
}

/// Puts the callback's name into a reason that has none.
fn signed(reason: StopReason, callback: &dyn Callback) -> StopReason {
    match reason {
        StopReason::Callback { callback: name, message } if name.is_empty() => {
            StopReason::Callback { callback: name_of(callback), message }
        }
        reason => reason,
    }
}
