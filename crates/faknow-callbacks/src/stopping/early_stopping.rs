//! Ends a run when the monitored value no longer improves.

use faknow_metrics::{EpochRecord, Evaluation, History};
use serde_json::json;

use crate::{
    Callback, Error, FitStart, Flow, HookResult, Monitor, MonitorChoice, Patience, Phase, Result, Run, State,
    StopReason,
};

/// Ends a run after `patience` validations in a row without an improvement of the monitored value; on request also
/// as soon as the value is good enough, or hopeless.
///
/// It decides only when to stop, by the rule of [`Patience`] and two thresholds. Which epoch is the best, and whether
/// its weights come back at the end, is up to the trainer and does not depend on any of it. Why it stopped the
/// run is in the [`StopReason`]: `early_stopping`, `reached` or `diverged`.
///
/// What it remembers is part of every checkpoint, so a resumed run stops where an uninterrupted one would. A second fit
/// counts from zero.
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
    /// The step of the validation that was looked at last.
    observed: Option<u64>,
}

impl EarlyStopping {
    /// Stops after `patience` (at least 1) validations without an improvement of the run's monitor.
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
            observed: None,
        }
    }

    /// Watches this value: the name of a recorded one (`loss`, a part of it, a metric), or a [`Monitor`] with its own
    /// direction, such as that of a value that a callback logs. Default: the run's monitor.
    pub fn monitor(mut self, monitor: impl Into<MonitorChoice>) -> Self {
        self.monitor = Some(monitor.into());
        self
    }

    /// Saves its state under this key, different for each early stopping of a run. Default: `early_stopping`.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Counts as an improvement only what is better by strictly more than this; finite, at least 0, default 0.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Stops as soon as the value is as good as this, or better; finite. Default: never.
    pub fn stopping_threshold(mut self, threshold: f64) -> Self {
        self.stopping_threshold = Some(threshold);
        self
    }

    /// Stops as soon as the value is worse than this; finite. Default: never.
    pub fn divergence_threshold(mut self, threshold: f64) -> Self {
        self.divergence_threshold = Some(threshold);
        self
    }

    /// The first epoch whose validations are looked at, at least 1; those before, which may be wild, count neither
    /// as good nor as bad. Default 1.
    pub fn start_from_epoch(mut self, epoch: usize) -> Self {
        self.start_from_epoch = epoch;
        self
    }

    /// Where the rule stands: `None` before the run started.
    pub fn counter(&self) -> Option<&Patience> {
        self.active.as_ref().map(|(_, counter)| counter)
    }

    fn check_settings(&self, monitor: &Monitor) -> Result<()> {
        let refuse = |name, expected: &str, got: String| {
            Err(Error::Setting { name, expected: expected.to_owned(), got })
        };
        if self.patience == 0 {
            return refuse("early_stopping.patience", "1 or more validations", self.patience.to_string());
        }
        if self.start_from_epoch == 0 {
            return refuse("early_stopping.start_from_epoch", "an epoch, from 1", "0".to_owned());
        }
        let wrong = "a finite number, 0 or more";
        if !(self.min_delta.is_finite() && self.min_delta >= 0.0) {
            return refuse("early_stopping.min_delta", wrong, self.min_delta.to_string());
        }
        let thresholds = [
            ("early_stopping.stopping_threshold", self.stopping_threshold),
            ("early_stopping.divergence_threshold", self.divergence_threshold),
        ];
        for (name, threshold) in thresholds {
            if let Some(threshold) = threshold.filter(|threshold| !threshold.is_finite()) {
                return refuse(name, "a finite number", threshold.to_string());
            }
        }
        match (self.stopping_threshold, self.divergence_threshold) {
            (Some(good), Some(bad)) if !monitor.direction.is_better(good, bad) => refuse(
                "early_stopping.divergence_threshold",
                &format!("a value of {} that is worse than the stopping threshold, {good}", monitor.name),
                bad.to_string(),
            ),
            _ => Ok(()),
        }
    }

    /// Why a run with this value ends at once, if it does.
    fn beyond(&self, monitor: &Monitor, value: f64) -> Option<StopReason> {
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

    fn resolve(&self, run: &Run) -> Result<Monitor> {
        match &self.monitor {
            None => {
                let no_validation = || Error::NoValidation { needed_by: "early stopping".to_owned() };
                run.monitor().cloned().ok_or_else(no_validation)
            }
            Some(choice) => choice.resolve(run),
        }
    }

    /// Counts the validations of a run so far.
    fn replay(&self, monitor: &Monitor, counter: &mut Patience, history: &History) {
        let mut records: Vec<&EpochRecord> = history.mid_epoch.iter().chain(&history.epochs).collect();
        records.sort_by_key(|record| record.step);
        for record in records {
            if record.epoch >= self.start_from_epoch && monitor.is_due(record) {
                let _ = counter.observe(monitor.value(record));
            }
        }
    }

    fn observe(&mut self, record: &EpochRecord) -> Result<Flow> {
        let Some((monitor, _)) = &self.active else { return Ok(Flow::Continue) };
        self.observed = Some(record.step);
        let value = monitor.require(record)?;
        if record.epoch < self.start_from_epoch || !monitor.is_due(record) {
            return Ok(Flow::Continue);
        }
        if let Some(reason) = value.and_then(|value| self.beyond(monitor, value)) {
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
        (self.active, self.observed) = (None, None);
        let monitor = self.resolve(run)?;
        self.check_settings(&monitor)?;
        let mut counter = Patience::new(monitor.direction, self.patience, self.min_delta);
        if run.start() != FitStart::New {
            // Replaced by `restore`, unless the run had another monitor before.
            self.replay(&monitor, &mut counter, run.history());
        }
        self.active = Some((monitor, counter));
        Ok(())
    }

    fn state(&self) -> HookResult<State> {
        let Some((monitor, counter)) = &self.active else { return Ok(State::default()) };
        Ok(json!({ "monitor": monitor.name, "best": counter.best(), "n_bad": counter.n_bad() }).into())
    }

    fn restore(&mut self, state: &State) -> HookResult {
        if let Some((monitor, counter)) = &mut self.active
            && state.values["monitor"] == monitor.name.as_str()
        {
            let n_bad = state.values["n_bad"].as_u64().unwrap_or(0) as usize;
            counter.restore(state.values["best"].as_f64(), n_bad);
        }
        Ok(())
    }

    fn on_evaluation_end(&mut self, run: &mut Run, phase: Phase, _: &Evaluation) -> HookResult<Flow> {
        let (Some((monitor, _)), Some(record)) = (&self.active, run.record()) else {
            return Ok(Flow::Continue);
        };
        // A value that another callback is yet to log is looked at when the epoch ends.
        if phase != Phase::Valid || !monitor.is_recorded(record) {
            return Ok(Flow::Continue);
        }
        Ok(self.observe(record)?)
    }

    fn on_epoch_end(&mut self, _: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        if self.observed == Some(record.step) { Ok(Flow::Continue) } else { Ok(self.observe(record)?) }
    }
}
