//! Ends a run when the monitored value no longer improves.

use faknow_metrics::EpochRecord;
use serde_json::json;

use crate::{Callback, Error, Flow, Monitor, Patience, Result, Run, State, StopReason};

/// Ends a run after `patience` validations in a row without an improvement of the monitored value; on request also
/// as soon as the value is good enough, or hopeless.
///
/// It decides only when to stop, by the rule of [`Patience`] and two thresholds. Which epoch is the best, and whether
/// its weights come back at the end, is the trainer's business and does not depend on any of it. Why it stopped the
/// run is kept in the [`StopReason`]: `early_stopping`, `reached` or `diverged`.
///
/// What it remembers is part of every checkpoint, so a resumed run stops where an unbroken one would. A second fit
/// counts afresh.
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
    watched: Watched,
    active: Option<(Monitor, Patience)>,
}

#[derive(Debug, Clone)]
enum Watched {
    RunsMonitor,
    Named(String),
    Given(Monitor),
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
            watched: Watched::RunsMonitor,
            active: None,
        }
    }

    /// Watches the validation value of this name (`loss`, a part of it, a metric), in the direction of its metric;
    /// default: the run's monitor.
    pub fn monitor(mut self, name: impl Into<String>) -> Self {
        self.watched = Watched::Named(name.into());
        self
    }

    /// Watches this value in this direction, whatever the metric itself says.
    pub fn monitor_as(mut self, monitor: Monitor) -> Self {
        self.watched = Watched::Given(monitor);
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

    /// Where the rule stands: `None` before the run began.
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
            (Some(good), Some(bad)) if !monitor.direction.better(good, bad) => refuse(
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
            (Some(threshold), _) if !monitor.direction.better(threshold, value) => {
                Some(StopReason::Reached { monitor: name, value, threshold })
            }
            (_, Some(threshold)) if monitor.direction.better(threshold, value) => {
                Some(StopReason::Diverged { monitor: name, value, threshold })
            }
            _ => None,
        }
    }

    fn resolve(&self, run: &Run) -> Result<Monitor> {
        let no_validation = || Error::NoValidation { needed_by: "early stopping".to_owned() };
        if run.monitors.is_empty() {
            return Err(no_validation());
        }
        match &self.watched {
            Watched::RunsMonitor => run.monitor.clone().ok_or_else(no_validation),
            Watched::Named(name) => Monitor::resolve(name, run),
            Watched::Given(monitor) => Monitor::resolve(&monitor.name, run).map(|_| monitor.clone()),
        }
    }
}

impl Callback for EarlyStopping {
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        self.active = None;
        let monitor = self.resolve(run)?;
        self.check_settings(&monitor)?;
        let counter = Patience::new(monitor.direction, self.patience, self.min_delta);
        self.active = Some((monitor, counter));
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let Some((_, counter)) = &self.active else { return Ok(State::default()) };
        Ok(json!({ "best": counter.best(), "n_bad": counter.n_bad() }).into())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        if let Some((_, counter)) = &mut self.active {
            let n_bad = state.values["n_bad"].as_u64().unwrap_or(0) as usize;
            counter.restore(state.values["best"].as_f64(), n_bad);
        }
        Ok(())
    }

    fn on_validation_end(&mut self, _run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        let Some((monitor, _)) = &self.active else { return Ok(Flow::Continue) };
        let value = monitor.require(record)?;
        if record.epoch < self.start_from_epoch {
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
