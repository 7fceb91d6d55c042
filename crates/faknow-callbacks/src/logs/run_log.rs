//! The human-readable log file of a run.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use faknow_metrics::{EpochRecord, Evaluation};

use super::layer;
use super::run_file::RunFile;
use crate::{Callback, FitEnd, FitStart, Flow, HookResult, Phase, Result, Run, format};

/// Writes `run.log` into the run directory: settings, one line per epoch, the best epoch, the stop reason, tests.
///
/// A line starts with the time in UTC and the level: `2026-11-22 12:00:00Z INFO …`. While the callback exists,
/// the file also receives the `tracing` events inside [`Run::span`], but none of other runs; this requires a subscriber
/// with a [`RunLogLayer`](crate::RunLogLayer), such as that of [`init_console`](crate::init_console). Each line is
/// written immediately. A resumed run or a later test appends to the same file.
///
/// # Errors
/// The run has no directory and no path was given; the file cannot be written.
#[derive(Debug)]
pub struct RunLog {
    file: RunFile,
    clock: fn() -> SystemTime,
}

impl RunLog {
    /// Creates a callback that writes `run.log` into the run directory.
    pub fn new() -> Self {
        Self { file: RunFile::new("run.log"), clock: SystemTime::now }
    }

    /// Creates a callback that writes to `path`.
    pub fn with_path(path: impl Into<PathBuf>) -> Self {
        let default = Self::new();
        Self { file: default.file.with_path(path), ..default }
    }

    /// Sets the clock for the times of lines. Default: the system clock.
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the path of the log; `None` before the run has started.
    pub fn path(&self) -> Option<&Path> {
        self.file.handle().map(|(path, _)| path)
    }

    fn info(&mut self, run: &Run, message: &str) -> Result<()> {
        self.line(run, "INFO", message)
    }

    fn line(&mut self, run: &Run, level: &str, message: &str) -> Result<()> {
        self.file.write(run, layer::line((self.clock)(), level, message).as_bytes())
    }
}

impl Default for RunLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for RunLog {
    fn is_log(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() == FitStart::RolledBack {
            return Ok(());
        }
        self.file.open(run, |_| true)?;
        if let Some((path, file)) = self.file.handle() {
            tracing::info!("logging run {} to {}", run.name(), path.display());
            layer::attach(file);
        }
        let start = match run.step() {
            0 => format!("starting run {}", run.name()),
            step => format!("resuming run {} at step {step}", run.name()),
        };
        // The store also lists frozen variables as trainable.
        let variables = run.vars.trainable_variables();
        let weights: usize = variables.iter().filter(|v| v.requires_grad()).map(tch::Tensor::numel).sum();
        self.info(
            run,
            &format!(
                "{start}: up to {} epochs of {} batches, {} trainable parameters on {:?}",
                run.max_epochs(),
                run.n_batches(),
                format::count(weights as u64),
                run.vars.device(),
            ),
        )?;
        if let Some(monitor) = run.monitor() {
            self.info(run, &format!("monitoring {} ({})", monitor.name, monitor.direction))?;
        }
        for (name, value) in run.hyperparameters() {
            self.info(run, &format!("{name} = {value}"))?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let mark = if format::is_best(run, record) { "  best so far" } else { "" };
        self.info(run, &format!("{}{mark}", format::epoch_line(run, record)))?;
        Ok(Flow::Continue)
    }

    fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &Evaluation,
    ) -> HookResult<Flow> {
        if phase == Phase::Test {
            self.info(run, &format::test_line(evaluation))?;
        }
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> HookResult {
        match result {
            Ok(reason) => self.info(run, &format::end_line(run, reason))?,
            Err(_) if self.file.is_of_earlier_fit(run) => {}
            Err(error) => self.line(run, "ERROR", &error.to_string())?,
        }
        Ok(())
    }
}
