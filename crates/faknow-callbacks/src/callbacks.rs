//! The list of the callbacks of a run: calls their hooks, converts panics and errors into errors with a location, and
//! collects the values that they log.

use std::any::Any;
use std::collections::BTreeSet;

use faknow_metrics::{Evaluation, Scores};

use crate::caught::{
    bare_error, catch_panic, drop_caught, hook_error, is_display, is_log, key_of, name_of, with_name,
};
use crate::collect::{add_to_evaluation, add_to_record, check_name, check_train_name, set_in_epoch};
use crate::{
    BatchEnd, Callback, Error, FitEnd, Flow, HookResult, PassProgress, Phase, Result, Run, SavedCheckpoint,
    State, StopReason,
};

/// An ordered list of callbacks, for a trainer or a custom training loop.
///
/// Each hook method calls the hook of the same name of every callback; see [`Callback`] for the order.
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

    /// Returns whether there are no callbacks.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first callback of type `C`.
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
            let Some(key) = key_of(second.as_ref())? else { continue };
            let mut others = self.0[..i].iter();
            if let Some(first) =
                others.find(|first| key_of(first.as_ref()).is_ok_and(|k| k.as_ref() == Some(&key)))
            {
                let (first, second) = (name_of(first.as_ref()), name_of(second.as_ref()));
                return Err(Error::DuplicateKey { key, first, second });
            }
        }
        Ok(())
    }

    /// Returns the states of all callbacks, each under its key.
    ///
    /// # Errors
    /// A callback fails, or has a state but no key.
    pub fn state(&self) -> Result<State> {
        let mut all = State::default();
        let mut values = serde_json::Map::new();
        for callback in &self.0 {
            let state = catch_panic(|| callback.state())
                .map_err(|error| bare_error(callback.as_ref(), "state", error))?;
            if state.is_empty() {
                continue;
            }
            let Some(key) = key_of(callback.as_ref())? else {
                return Err(Error::MissingKey { callback: name_of(callback.as_ref()) });
            };
            let tensors = state.tensors.into_iter().map(|(name, tensor)| (format!("{key}/{name}"), tensor));
            all.tensors.extend(tensors);
            if !state.values.is_null() {
                values.insert(key, state.values);
            }
        }
        if !values.is_empty() {
            all.values = values.into();
        }
        Ok(all)
    }

    /// Restores the state of each callback from the state saved under its key. A callback without a saved state starts
    /// from scratch; a saved state without its callback is ignored with a warning.
    ///
    /// # Errors
    /// A callback rejects its state.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let value_keys =
            state.values.as_object().into_iter().flat_map(|values| values.keys().map(String::as_str));
        let tensor_keys = state.tensors.keys().filter_map(|name| name.split_once('/').map(|(key, _)| key));
        let mut unknown: BTreeSet<&str> = value_keys.chain(tensor_keys).collect();
        for callback in &mut self.0 {
            let Some(key) = key_of(callback.as_ref())? else { continue };
            unknown.remove(key.as_str());
            let prefix = format!("{key}/");
            let tensors = state.tensors.iter().filter_map(|(name, tensor)| {
                Some((name.strip_prefix(&prefix)?.to_owned(), tensor.shallow_clone()))
            });
            let values = state.values.get(&key).cloned().unwrap_or_default();
            let state = State { values, tensors: tensors.collect() };
            if !state.is_empty() {
                catch_panic(|| callback.restore(&state))
                    .map_err(|error| bare_error(callback.as_ref(), "restore", error))?;
            }
        }
        for key in unknown {
            tracing::warn!(
                "the checkpoint has state for callback `{key}`, which this run does not have; ignoring it"
            );
        }
        Ok(())
    }

    /// Returns the settings of all callbacks that have a key, by key.
    pub fn settings(&self) -> Vec<(String, serde_json::Value)> {
        let settings = self.0.iter().filter_map(|it| Some((key_of(it.as_ref()).ok()??, it.settings())));
        settings.filter(|(_, settings)| !settings.is_null()).collect()
    }

    /// Returns the first reason to stop the run at the current point of its history, see [`Callback::reason_to_stop`].
    pub fn reason_to_stop(&self, run: &Run) -> Option<StopReason> {
        self.0.iter().find_map(|callback| callback.reason_to_stop(run))
    }

    /// Calls [`Callback::on_fit_start`] of all callbacks.
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        self.notify("on_fit_start", run, |c, run| proceed(c.on_fit_start(run)), set_in_epoch).map(drop)
    }

    /// Calls [`Callback::on_epoch_start`] of all callbacks.
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        self.notify("on_epoch_start", run, |c, run| proceed(c.on_epoch_start(run)), set_in_epoch).map(drop)
    }

    /// Calls [`Callback::on_batch_start`] of all callbacks.
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_batch_start(&mut self, run: &mut Run) -> Result<()> {
        // Values logged for an update that was skipped.
        run.pending.clear();
        // The values are added in `on_batch_end`, when the number of samples is known.
        self.notify("on_batch_start", run, |c, run| proceed(c.on_batch_start(run)), |_| Ok(())).map(drop)
    }

    /// Calls [`Callback::on_batch_end`] of all callbacks.
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

    /// Calls [`Callback::on_evaluation_start`] of all callbacks.
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

    /// Calls [`Callback::on_evaluation_batch_end`] of all callbacks.
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

    /// Calls [`Callback::on_evaluation_end`] of all callbacks. Values logged during the pass and in this hook are added to
    /// the scores of `evaluation` and, for a validation, to the run's newest record, which must be in the history already.
    ///
    /// # Errors
    /// A callback fails, or logs a value under a name that is taken.
    pub fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &mut Evaluation,
    ) -> Result<Flow> {
        let mut pass_scores = Scores::new();
        std::mem::take(&mut run.pass_log).write_to(&mut pass_scores);
        for (name, score) in pass_scores {
            add_to_evaluation(run, phase, &mut evaluation.scores, name, score)?;
        }
        // The callback reads the evaluation, and the values that it logs are added to it.
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

    /// Calls [`Callback::on_epoch_end`] of all callbacks with the last record of the run's history.
    ///
    /// # Errors
    /// A callback fails, or logs a value under a name that is taken.
    pub fn on_epoch_end(&mut self, run: &mut Run) -> Result<Flow> {
        let before_logs = self.on_epoch_end_before_logs(run);
        match (before_logs, self.on_epoch_end_of_logs(run)) {
            (Err(error), Err(second)) => {
                tracing::error!("{second}");
                Err(error)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(Flow::Continue), flow) => flow,
            (flow, _) => flow,
        }
    }

    /// Calls [`Callback::on_epoch_end`] of all callbacks but [logs](Callback::is_log), for a loop that completes the record
    /// before the logs are called: if one of them stops the run, the trainer still validates the epoch.
    ///
    /// # Errors
    /// As [`on_epoch_end`](Self::on_epoch_end).
    pub fn on_epoch_end_before_logs(&mut self, run: &mut Run) -> Result<Flow> {
        self.end_epoch(run, false)
    }

    /// Calls [`Callback::on_epoch_end`] of the [logs](Callback::is_log), after
    /// [`on_epoch_end_before_logs`](Self::on_epoch_end_before_logs).
    ///
    /// # Errors
    /// As [`on_epoch_end`](Self::on_epoch_end).
    pub fn on_epoch_end_of_logs(&mut self, run: &mut Run) -> Result<Flow> {
        self.end_epoch(run, true)
    }

    fn end_epoch(&mut self, run: &mut Run, of_logs: bool) -> Result<Flow> {
        let call = |c: &mut dyn Callback, run: &mut Run| match run.history().last().cloned() {
            // Cloned for each callback, to include the values logged by those before it.
            Some(record) => c.on_epoch_end(run, &record),
            None => Err("the epoch is not in the run's history".into()),
        };
        self.notify_some("on_epoch_end", run, call, add_to_record, &[Some(of_logs)])
    }

    /// Calls [`Callback::on_checkpoint`] of all callbacks.
    ///
    /// # Errors
    /// A callback fails.
    pub fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> Result<()> {
        self.notify("on_checkpoint", run, |c, run| proceed(c.on_checkpoint(run, checkpoint)), set_in_epoch)
            .map(drop)
    }

    /// Calls [`Callback::on_fit_end`] of all callbacks. If the fit failed, errors of callbacks are only logged.
    ///
    /// # Errors
    /// A callback fails at the end of a fit that did not fail.
    pub fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> Result<()> {
        let outcome =
            self.notify("on_fit_end", run, |c, run| proceed(c.on_fit_end(run, result)), add_to_record);
        match (outcome, result) {
            (Err(error), Err(_)) => {
                tracing::error!("after the fit had failed: {error}");
                Ok(())
            }
            (outcome, _) => outcome.map(drop),
        }
    }

    /// Calls all callbacks in order and catches panics; at the end of an evaluation or the fit, log callbacks come last.
    /// Returns the first error, else the first stop; further errors are logged. A display that fails is removed.
    fn notify(
        &mut self,
        hook: &'static str,
        run: &mut Run,
        call: impl FnMut(&mut dyn Callback, &mut Run) -> HookResult<Flow>,
        collect_logged: impl FnMut(&mut Run) -> Result<()>,
    ) -> Result<Flow> {
        let logs_last = matches!(hook, "on_evaluation_end" | "on_fit_end");
        let passes: &[Option<bool>] = if logs_last { &[Some(false), Some(true)] } else { &[None] };
        self.notify_some(hook, run, call, collect_logged, passes)
    }

    /// Calls callbacks as [`notify`](Self::notify) does, in passes over all of them (`None`), only those that are logs, or
    /// only those that are not.
    fn notify_some(
        &mut self,
        hook: &'static str,
        run: &mut Run,
        mut call: impl FnMut(&mut dyn Callback, &mut Run) -> HookResult<Flow>,
        mut collect_logged: impl FnMut(&mut Run) -> Result<()>,
        passes: &[Option<bool>],
    ) -> Result<Flow> {
        let mut result = Ok(Flow::Continue);
        let mut failed = Vec::new();
        for pass in passes {
            for (index, callback) in self.0.iter_mut().enumerate() {
                if pass.is_some_and(|logs| logs != is_log(callback.as_ref())) {
                    continue;
                }
                let callback = callback.as_mut();
                let flow = catch_panic(|| call(callback, run))
                    .map_err(|error| hook_error(callback, hook, run, error))
                    .and_then(|flow| collect_logged(run).map(|()| flow));
                if let Err(error) = &flow
                    && is_display(callback)
                {
                    tracing::warn!("the run continues without `{}`: {error}", name_of(callback));
                    failed.push(index);
                    continue;
                }
                match (&result, flow) {
                    (Err(_), Err(error)) => tracing::error!("{error}"),
                    (_, Err(error)) => result = Err(error),
                    (Ok(Flow::Continue), Ok(Flow::Stop(reason))) => {
                        result = Ok(Flow::Stop(with_name(reason, callback)));
                    }
                    _ => {}
                }
            }
        }
        failed.sort_unstable();
        for index in failed.into_iter().rev() {
            drop_caught(self.0.remove(index));
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
