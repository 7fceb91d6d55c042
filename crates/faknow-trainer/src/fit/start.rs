//! The start of a fit: checks of settings and data, counters, the schedule, and the sanity check of validation.

use faknow_callbacks::{FitStart, Monitor, MonitorChoice, Phase, Run, StopReason};
use faknow_metrics::History;
use faknow_model::Model;

use crate::checkpoint::resume::Fingerprints;
use crate::error::phase_name;
use crate::fit::evaluation::evaluate_at;
use crate::fit::limits::{FitData, Limits};
use crate::schedule::TrainingLength;
use crate::{Error, NonFinitePolicy, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Starts a run, or another fit of the same run; after an interruption, the latter finishes the remaining epochs.
    pub(crate) fn start(&mut self, data: &FitData<'_, M::Batch>) -> Result<()> {
        if let (false, true, Some(path)) =
            (self.state.is_started, self.checkpointer.holds_run(), self.run.dir())
        {
            let message = "it already contains a run; resume it, or choose another directory".into();
            return Err(Error::RunDir { path: path.to_path_buf(), message });
        }
        let is_continued = self.state.is_started;
        let was_interrupted = self.state.stop_reason.take() == Some(StopReason::Interrupted);
        // An epoch that failed is not counted.
        let n_done = if is_continued { self.run.epoch() - usize::from(self.state.epoch.is_open) } else { 0 };
        let max_epochs =
            if was_interrupted { self.run.max_epochs() } else { n_done + self.settings.max_epochs() };
        self.prepare(data, max_epochs)?;
        if !is_continued {
            self.pass_training_data(data.train())?;
        }
        if was_interrupted {
            let callbacks = self.callbacks.state()?;
            self.start_callbacks(FitStart::Resumed)?;
            self.callbacks.restore(&callbacks)?;
        } else {
            self.start_callbacks(FitStart::New)?;
        }
        self.check_validation(data)?;
        if is_continued { self.save_last(false) } else { self.save_start() }
    }

    /// Saves the run before its first update if it may have to be rolled back to this state.
    pub(crate) fn save_start(&mut self) -> Result<()> {
        if self.settings.on_non_finite == NonFinitePolicy::RollBack { self.save_last(false) } else { Ok(()) }
    }

    /// Checks the settings against the data, and sets up everything that depends on both.
    pub(crate) fn prepare(&mut self, data: &FitData<'_, M::Batch>, max_epochs: usize) -> Result<()> {
        let hint = "add samples, or lower the batch size if incomplete batches are dropped";
        for (phase, loader) in [(Phase::Train, Some(data.train())), (Phase::Valid, data.valid())] {
            if loader.is_some_and(|loader| loader.n_batches() == 0) {
                return Err(Error::EmptyLoader { phase: phase_name(phase), hint });
            }
        }
        let is_continued = self.state.is_started;
        self.run.progress_mut().max_epochs = max_epochs;
        self.run.progress_mut().n_batches = data.train().n_batches();
        self.state.fingerprints = Fingerprints::new(data.train(), data.valid(), &self.run.vars);
        self.set_monitors(data.valid().is_some())?;
        if !is_continued {
            self.run.progress_mut().history = History::default();
        }
        let is_dev_run = self.settings.fast_dev_run;
        let epoch = data.epoch_size(self.settings.accumulate_grad_batches, !is_dev_run);
        let length = TrainingLength {
            steps_per_epoch: epoch.n_steps() as usize,
            max_epochs: if is_dev_run { self.settings.n_epochs } else { max_epochs },
            max_steps: if is_dev_run { None } else { self.settings.max_steps(&epoch) },
            monitor_direction: self.run.monitor().map(|monitor| monitor.direction),
        };
        let time_limit = if is_dev_run { None } else { self.settings.max_seconds() };
        if let Some(rates) = self.optimization.start(length, time_limit, is_continued)? {
            self.run.learning_rates = rates;
        }
        Ok(())
    }

    /// Sets the values that validation records and the monitor that selects the best epoch; a change of the monitor
    /// discards the best epoch so far.
    fn set_monitors(&mut self, has_validation: bool) -> Result<()> {
        let monitors = if has_validation { Monitor::all(&self.task.metrics) } else { Vec::new() };
        self.run.setup_mut().monitors = monitors;
        let train_metrics = self.task.train_metrics.directions().into_iter();
        self.run.setup_mut().train_metrics =
            train_metrics.map(|(name, direction)| Monitor { name, direction }).collect();
        let monitor = choose_monitor(self.settings.monitor.as_ref(), &self.run)?;
        if !self.state.is_started || monitor.as_ref() != self.run.monitor() {
            self.checkpointer.forget_best();
            self.run.progress_mut().best = None;
        }
        self.run.setup_mut().monitor = monitor;
        for name in &self.checkpointer.policy().monitors {
            MonitorChoice::from(name.as_str()).resolve(&self.run)?;
        }
        Ok(())
    }

    /// Notifies the callbacks that the run starts, is resumed or is rolled back.
    pub(crate) fn start_callbacks(&mut self, start: FitStart) -> Result<()> {
        self.state.is_started = true;
        self.run.setup_mut().start = start;
        self.callbacks.on_fit_start(&mut self.run)?;
        self.continue_schedule()
    }

    /// Runs a few validation batches, so that errors in them surface before the first epoch. Nothing is recorded.
    pub(crate) fn check_validation(&mut self, data: &FitData<'_, M::Batch>) -> Result<()> {
        let n_batches = self.settings.num_sanity_val_batches;
        let Some(valid) = data.valid().filter(|_| n_batches > 0 && self.run.step() == 0) else {
            return Ok(());
        };
        let limits = Limits { batches: Some(n_batches), overfit: false };
        let (model, metrics, device) = (&self.task.model, &self.task.metrics, self.task.device);
        evaluate_at((Phase::Valid, 0), model, &limits.apply(valid), metrics, device, |_| Ok(()))?;
        Ok(())
    }
}

/// Returns the monitor of the settings; by default `accuracy`, else the first metric, else the loss.
fn choose_monitor(choice: Option<&MonitorChoice>, run: &Run) -> Result<Option<Monitor>> {
    if let Some(choice) = choice {
        return Ok(Some(choice.resolve(run)?));
    }
    let accuracy = run.monitors().iter().find(|monitor| monitor.name == "accuracy");
    Ok(accuracy.or_else(|| run.monitors().get(1)).or_else(|| run.monitors().first()).cloned())
}
