//! The callback that stops a run when the monitored value no longer improves.

use faknow_metrics::{EpochRecord, Evaluation, History};
use serde_json::{Value, json};

use crate::{
    Callback, Error, FitStart, Flow, HookResult, Monitor, MonitorChoice, Patience, Phase, Result, Run, State,
    StopReason,
};

/// Stops a run after `patience` consecutive validations without an improvement of the monitored value; optionally also
/// as soon as the value passes a stopping or divergence threshold.
///
/// It only decides when to stop, by the rule of [`Patience`] and the two thresholds. The trainer chooses the best epoch
/// and restores its weights independently of these settings. The [`StopReason`] is `early_stopping`, `reached` or
/// `diverged`.
///
/// Its state is part of every checkpoint, so a resumed run stops where an uninterrupted run would. A second fit counts
/// from zero.
///
/// ```
/// use faknow_callbacks::EarlyStopping;
///
/// let stopping = EarlyStopping::new(5).monitor("f1").min_delta(0.001).stopping_threshold(0.95).start_from_epoch(3);
/// # let _ = stopping;
/// ```
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    patience: usize,
    min_delta: f64,
    stopping_threshold: Option<f64>,
    divergence_threshold: Option<f64>,
    start_from_epoch: usize,
    /// `None`: the run's monitor.
    monitor: Option<MonitorChoice>,
    key: String,
    active: Option<(Monitor, Patience)>,
    /// The step of the last observed validation.
    last_step: Option<u64>,
}

impl EarlyStopping {
    /// Creates a callback that stops after `patience` (at least 1) validations without an improvement.
    pub fn new(patience: usize) -> Self {
        Self {
            patience,
            min_delta: 0.0,
            stopping_threshold: None,
            divergence_threshold: None,
            start_from_epoch: 1,
            monitor: None,
            key: "early_stopping".to_owned(),
            active: None,
            last_step: None,
        }
    }

    /// Sets the monitored value: the name of a recorded value (`loss`, a part of it, a metric), or a [`Monitor`] with its own
    /// direction, for example of a value that a callback logs. Default: the run's monitor.
    pub fn monitor(mut self, monitor: impl Into<MonitorChoice>) -> Self {
        self.monitor = Some(monitor.into());
        self
    }

    /// Sets the key of the state, which must be unique within the run. Default: `early_stopping`.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Sets the difference that an improvement must exceed; finite, at least 0. Default 0.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Sets the threshold that stops the run as soon as the value is at least as good; finite. Default: none.
    pub fn stopping_threshold(mut self, threshold: f64) -> Self {
        self.stopping_threshold = Some(threshold);
        self
    }

    /// Sets the threshold that stops the run as soon as the value is worse; finite. Default: none.
    pub fn divergence_threshold(mut self, threshold: f64) -> Self {
        self.divergence_threshold = Some(threshold);
        self
    }

    /// Sets the first epoch whose validations count, at least 1; earlier ones, which may be noisy, are ignored. Default 1.
    pub fn start_from_epoch(mut self, epoch: usize) -> Self {
        self.start_from_epoch = epoch;
        self
    }

    /// Returns the counter of validations without an improvement; `None` before the run has started.
    pub fn counter(&self) -> Option<&Patience> {
        self.active.as_ref().map(|(_, counter)| counter)
    }

    fn check_settings(&self, monitor: &Monitor) -> Result<()> {
        let setting_error = |name, expected: &str, got: String| {
            Err(Error::Setting { name, expected: expected.to_owned(), got })
        };
        if self.patience == 0 {
            return setting_error("early_stopping.patience", "at least 1", self.patience.to_string());
        }
        if self.start_from_epoch == 0 {
            return setting_error("early_stopping.start_from_epoch", "at least 1", "0".to_owned());
        }
        let expected = "a finite number of at least 0";
        if !(self.min_delta.is_finite() && self.min_delta >= 0.0) {
            return setting_error("early_stopping.min_delta", expected, self.min_delta.to_string());
        }
        let thresholds = [
            ("early_stopping.stopping_threshold", self.stopping_threshold),
            ("early_stopping.divergence_threshold", self.divergence_threshold),
        ];
        for (name, threshold) in thresholds {
            if let Some(threshold) = threshold.filter(|threshold| !threshold.is_finite()) {
                return setting_error(name, "a finite number", threshold.to_string());
            }
        }
        match (self.stopping_threshold, self.divergence_threshold) {
            (Some(good), Some(bad)) if !monitor.direction.is_better(good, bad) => setting_error(
                "early_stopping.divergence_threshold",
                &format!("a value of {} worse than the stopping threshold {good}", monitor.name),
                bad.to_string(),
            ),
            _ => Ok(()),
        }
    }

    /// Returns the reason to stop if the value passes a threshold.
    fn check_thresholds(&self, monitor: &Monitor, value: f64) -> Option<StopReason> {
        let name = monitor.name.clone();
        match (self.stopping_threshold, self.divergence_threshold) {
            (Some(threshold), _) if !monitor.direction.is_better(threshold, value) => {
                Some(StopReason::Reached { monitor: name, value, threshold })
            }
            (_, Some(threshold)) if monitor.direction.is_better(threshold, value) => {
                Some(StopReason::Diverged { monitor: name, value, threshold })
            }
            _ => None,
        }
    }

    fn out_of_patience(&self, monitor: &Monitor) -> StopReason {
        StopReason::EarlyStopping { monitor: monitor.name.clone(), patience: self.patience }
    }

    /// Returns the settings that determine the counter: that of another rule is computed from the history.
    fn rule(&self, monitor: &Monitor) -> Value {
        json!([monitor.name, self.min_delta, self.start_from_epoch])
    }

    fn resolve(&self, run: &Run) -> Result<Monitor> {
        match &self.monitor {
            None => {
                let no_validation = || Error::NoValidation { component: "early stopping".to_owned() };
                run.monitor().cloned().ok_or_else(no_validation)
            }
            Some(choice) => choice.resolve(run),
        }
    }

    /// Observes all validations of the history.
    fn replay(&self, monitor: &Monitor, counter: &mut Patience, history: &History) {
        for (record, _) in history.in_order() {
            if record.epoch >= self.start_from_epoch && monitor.is_due(record) {
                let _ = counter.observe(monitor.value(record));
            }
        }
    }

    fn observe(&mut self, record: &EpochRecord) -> Result<Flow> {
        let Some((monitor, _)) = &self.active else { return Ok(Flow::Continue) };
        self.last_step = Some(record.step);
        let value = monitor.require(record)?;
        if record.epoch < self.start_from_epoch || !monitor.is_due(record) {
            return Ok(Flow::Continue);
        }
        if let Some(reason) = value.and_then(|value| self.check_thresholds(monitor, value)) {
            return Ok(Flow::Stop(reason));
        }
        let Some((monitor, counter)) = &mut self.active else { return Ok(Flow::Continue) };
        if !counter.observe(value) {
            return Ok(Flow::Continue);
        }
        Ok(Flow::Stop(StopReason::EarlyStopping { monitor: monitor.name.clone(), patience: self.patience }))
    }
}

impl Callback for EarlyStopping {
    fn key(&self) -> Option<&str> {
        Some(&self.key)
    }

    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        (self.active, self.last_step) = (None, None);
        let monitor = self.resolve(run)?;
        self.check_settings(&monitor)?;
        let mut counter = Patience::new(monitor.direction, self.patience, self.min_delta);
        if run.start() != FitStart::New {
            // Overwritten by `restore`, unless the rule has changed.
            self.replay(&monitor, &mut counter, run.history());
        }
        self.active = Some((monitor, counter));
        Ok(())
    }

    fn settings(&self) -> Value {
        json!({
            "patience": self.patience,
            "min_delta": self.min_delta,
            "stopping_threshold": self.stopping_threshold,
            "divergence_threshold": self.divergence_threshold,
            "start_from_epoch": self.start_from_epoch,
            "monitor": self.monitor.as_ref().map(MonitorChoice::name),
        })
    }

    fn reason_to_stop(&self, run: &Run) -> Option<StopReason> {
        let (monitor, counter) = self.active.as_ref()?;
        let record = run.record().filter(|record| record.epoch >= self.start_from_epoch)?;
        let reason = monitor.value(record).and_then(|value| self.check_thresholds(monitor, value));
        reason.or_else(|| (counter.n_bad() >= self.patience).then(|| self.out_of_patience(monitor)))
    }

    fn state(&self) -> HookResult<State> {
        let Some((monitor, counter)) = &self.active else { return Ok(State::default()) };
        let (best, n_bad) = (counter.best(), counter.n_bad());
        Ok(json!({ "rule": self.rule(monitor), "best": best, "n_bad": n_bad }).into())
    }

    fn restore(&mut self, state: &State) -> HookResult {
        let is_same_rule =
            self.active.as_ref().is_some_and(|(monitor, _)| state.values["rule"] == self.rule(monitor));
        if let Some((_, counter)) = self.active.as_mut().filter(|_| is_same_rule) {
            let n_bad = state.values["n_bad"].as_u64().unwrap_or(0) as usize;
            counter.restore(state.values["best"].as_f64(), n_bad);
        }
        Ok(())
    }

    fn on_evaluation_end(&mut self, run: &mut Run, phase: Phase, _: &Evaluation) -> HookResult<Flow> {
        let (Some((monitor, _)), Some(record)) = (&self.active, run.record()) else {
            return Ok(Flow::Continue);
        };
        // A value that another callback logs later is observed at the end of the epoch.
        if phase != Phase::Valid || !monitor.is_recorded(record) {
            return Ok(Flow::Continue);
        }
        Ok(self.observe(record)?)
    }

    fn on_epoch_end(&mut self, _: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        if self.last_step == Some(record.step) { Ok(Flow::Continue) } else { Ok(self.observe(record)?) }
    }
}
