//! The run's own log file, for people.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use faknow_metrics::{EpochRecord, Evaluation};

use super::layer;
use super::run_file::RunFile;
use crate::{Callback, FitEnd, FitStart, Flow, HookResult, Phase, Result, Run, format};

/// Writes `run.log` into the run's directory: settings, a line per epoch, the best, why it ended, tests.
///
/// A line starts with the time in UTC (hence the `Z`) and the level: `2026-11-22 12:00:00Z INFO …`. The file holds
/// this run's lines only: its own, and what is logged through `tracing` inside [`Run::span`] while the callback
/// lives, if the subscriber has a [`RunLogLayer`](crate::RunLogLayer) (that of
/// [`init_console`](crate::init_console) has). Each line is in the file at once. A resumed run, or a
/// later test, continues the same file.
///
/// # Errors
/// The run has no directory and no path was given; the file cannot be written.
#[derive(Debug)]
pub struct RunLog {
    file: RunFile,
    clock: fn() -> SystemTime,
}

impl RunLog {
    /// Writes to `run.log` in the run's directory.
    pub fn new() -> Self {
        Self { file: RunFile::new("run.log"), clock: SystemTime::now }
    }

    /// Writes to this file instead.
    pub fn with_path(path: impl Into<PathBuf>) -> Self {
        let default = Self::new();
        Self { file: default.file.at(path), ..default }
    }

    /// Sets the clock of its lines. Default: the system's.
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// The file that is written, once the run has started.
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
            tracing::info!("log of run {}: {}", run.name(), path.display());
            layer::attach(file);
        }
        let starts = match run.step() {
            0 => format!("starting run {}", run.name()),
            step => format!("resuming run {} at step {step}", run.name()),
        };
        // A variable that was frozen is still among the store's trainable ones.
        let variables = run.vars.trainable_variables();
        let weights: usize = variables.iter().filter(|v| v.requires_grad()).map(tch::Tensor::numel).sum();
        self.info(
            run,
            &format!(
                "{starts}: up to {} epochs of {} batches, {} trainable weights on {:?}",
                run.max_epochs(),
                run.n_batches(),
                format::count(weights as u64),
                run.vars.device(),
            ),
        )?;
        if let Some(monitor) = run.monitor() {
            self.info(run, &format!("best epoch by {} ({})", monitor.name, monitor.direction))?;
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
            Err(error) => self.line(run, "ERROR", &error.to_string())?,
        }
        Ok(())
    }
}
