//! Ends a run when the monitored value no longer improves.

use faknow_metrics::EpochRecord;
use serde_json::json;

use crate::{Callback, Error, Flow, Monitor, Result, Run, State, StopReason, Stopper};

/// Ends a run after `patience` validations in a row without an improvement of the monitored value.
///
/// It decides only when to stop, by the rule of [`Stopper`]. Which epoch is the best, and whether its weights come
/// back at the end, is the trainer's business and does not depend on `min_delta`.
///
/// What it remembers is part of every checkpoint, so a resumed run stops where an unbroken one would. A second fit
/// counts afresh.
///
/// ```
/// use faknow_callbacks::EarlyStopping;
///
/// let stopping = EarlyStopping::new(5).monitor("f1").min_delta(0.001);
/// # let _ = stopping;
/// ```
#[derive(Debug, Clone)]
pub struct EarlyStopping {
    patience: usize,
    min_delta: f64,
    watched: Watched,
    active: Option<(Monitor, Stopper)>,
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
        Self { patience, min_delta: 0.0, watched: Watched::RunsMonitor, active: None }
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

    /// Where the rule stands: `None` before the run began.
    pub fn stopper(&self) -> Option<&Stopper> {
        self.active.as_ref().map(|(_, stopper)| stopper)
    }

    fn check_settings(&self) -> Result<()> {
        let refuse = |name, expected: &str, got: String| {
            Err(Error::Setting { name, expected: expected.to_owned(), got })
        };
        if self.patience == 0 {
            return refuse("early_stopping.patience", "1 or more validations", self.patience.to_string());
        }
        if !(self.min_delta.is_finite() && self.min_delta >= 0.0) {
            return refuse(
                "early_stopping.min_delta",
                "a finite number, 0 or more",
                self.min_delta.to_string(),
            );
        }
        Ok(())
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
        self.check_settings()?;
        let monitor = self.resolve(run)?;
        let stopper = Stopper::new(monitor.direction, self.patience, self.min_delta);
        self.active = Some((monitor, stopper));
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let Some((_, stopper)) = &self.active else { return Ok(State::default()) };
        Ok(json!({ "reference": stopper.reference(), "n_bad": stopper.n_bad() }).into())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        if let Some((_, stopper)) = &mut self.active {
            let n_bad = state.values["n_bad"].as_u64().unwrap_or(0) as usize;
            stopper.go_on_from(state.values["reference"].as_f64(), n_bad);
        }
        Ok(())
    }

    fn on_validation_end(&mut self, _run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        let Some((monitor, stopper)) = self.active.as_mut() else { return Ok(Flow::Continue) };
        if !stopper.observe(monitor.require(record)?) {
            return Ok(Flow::Continue);
        }
        Ok(Flow::Stop(StopReason::EarlyStopping { monitor: monitor.name.clone(), patience: self.patience }))
    }
}
