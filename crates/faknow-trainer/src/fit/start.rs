//! The beginning of a fit: settings against data, counters, the schedule, a look at the validation data.

use std::path::Path;

use faknow_callbacks::{BestTracker, FitStart, Monitor, MonitorChoice, Phase, Run};
use faknow_data::Loader;
use faknow_metrics::History;
use faknow_model::Model;

use crate::checkpoint::resume::Fingerprints;
use crate::error::phase_name;
use crate::fit::evaluation::evaluate_at;
use crate::fit::limits::Limits;
use crate::schedule::Plan;
use crate::{Error, NonFinite, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Begins a run, or a further fit of the same run.
    pub(crate) fn begin(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<()> {
        let holds_a_run = self.store.as_ref().is_some_and(|store| !store.list().is_empty());
        if let (false, true, Some(path)) = (self.begun, holds_a_run, self.run.dir().map(Path::to_path_buf)) {
            let message = "it holds a run already; resume that one, or name a new folder".into();
            return Err(Error::RunDir { path, message });
        }
        let schedule = self.schedule.as_ref().map(|schedule| schedule.state()).filter(|_| self.begun);
        let further = self.begun;
        // An epoch that failed half-way is made up for.
        let done = if self.begun { self.run.epoch() - usize::from(self.at.open) } else { 0 };
        self.prepare(train, valid, done + self.settings.max_epochs)?;
        if let (true, Some(state), Some(schedule)) = (further, schedule, &mut self.schedule) {
            schedule.restore(&state)?;
            self.apply_schedule();
        }
        self.start_callbacks(FitStart::New)?;
        self.check_validation(valid)?;
        if further { self.save_last(false, None) } else { self.save_beginning() }
    }

    /// Saves a run in which nothing was done yet, if it may have to be rolled back to that.
    pub(crate) fn save_beginning(&mut self) -> Result<()> {
        if self.settings.on_non_finite != NonFinite::RollBack {
            return Ok(());
        }
        self.save_last(false, None)
    }

    /// Checks the run's settings against its data, and sets up what depends on both.
    pub(crate) fn prepare(
        &mut self,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
        max_epochs: usize,
    ) -> Result<()> {
        let hint = "give it samples, or a batch size that they fill if the last batch is dropped";
        for (phase, loader) in [(Phase::Train, Some(train)), (Phase::Valid, valid)] {
            if loader.is_some_and(|loader| loader.n_batches() == 0) {
                return Err(Error::EmptyLoader { phase: phase_name(phase), hint });
            }
        }
        self.run.progress_mut().max_epochs = max_epochs;
        self.run.progress_mut().n_batches = train.n_batches();
        self.fingerprints = Fingerprints::of(train, valid, &self.run.vars);
        let monitors = if valid.is_some() { Monitor::all(&self.metrics) } else { Vec::new() };
        self.run.setup_mut().monitors = monitors;
        let monitor = choose_monitor(self.settings.monitor.as_deref(), &self.run)?;
        if !self.begun || monitor.as_ref() != self.run.monitor() {
            self.best_tracker = monitor.as_ref().map(|m| BestTracker::new(m.direction));
            self.run.progress_mut().best = None;
        }
        self.run.setup_mut().monitor = monitor;
        for name in &self.settings.checkpoints.monitors {
            MonitorChoice::from(name).resolve(&self.run)?;
        }
        if !self.begun {
            self.run.progress_mut().history = History::default();
        }
        let plan = Plan {
            steps_per_epoch: self.run.n_batches().div_ceil(self.settings.accumulate),
            max_epochs: self.run.max_epochs(),
            monitor_direction: self.run.monitor().map(|m| m.direction),
        };
        let base_rates = self.optimizer.base_learning_rates();
        self.schedule = self.build_schedule.as_ref().map(|s| s.build(base_rates, &plan)).transpose()?;
        if !self.begun || self.schedule.is_some() {
            self.run.learning_rates = base_rates.iter().map(|rate| rate * self.rate_factor).collect();
        }
        self.apply_schedule();
        Ok(())
    }

    /// Notifies the callbacks that the run starts, or starts again.
    pub(crate) fn start_callbacks(&mut self, start: FitStart) -> Result<()> {
        self.begun = true;
        self.run.setup_mut().start = start;
        Ok(self.callbacks.on_fit_start(&mut self.run)?)
    }

    /// Tries a few validation batches, so that what is wrong with them does not first show after an epoch. Nothing
    /// of it is recorded or told.
    pub(crate) fn check_validation(&mut self, valid: Option<&dyn Loader<M::Batch>>) -> Result<()> {
        let Some(valid) = valid.filter(|_| self.settings.sanity_batches > 0 && self.run.step() == 0) else {
            return Ok(());
        };
        let limits = Limits { batches: Some(self.settings.sanity_batches), overfit: false };
        let (model, metrics) = (&self.model, &self.metrics);
        evaluate_at((Phase::Valid, 0), model, &limits.apply(valid), metrics, self.device, |_| Ok(()))?;
        Ok(())
    }
}

/// The monitor that was asked for, or `accuracy`, or the first metric, or the loss.
fn choose_monitor(asked: Option<&str>, run: &Run) -> Result<Option<Monitor>> {
    if let Some(name) = asked {
        return Ok(Some(MonitorChoice::from(name).resolve(run)?));
    }
    let by_default = run.monitors().iter().find(|m| m.name == "accuracy");
    Ok(by_default.or_else(|| run.monitors().get(1)).or_else(|| run.monitors().first()).cloned())
}
