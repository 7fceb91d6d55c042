//! `faknow resume`: resumes an interrupted run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::callbacks::StopReason;
use faknow::models::Registry;
use faknow::report::Run;
use faknow::train::{Outcome, ResumeOptions};
use faknow::trainer::ChangeKind;

use crate::console::Console;
use crate::train;

/// Resume an interrupted run, or extend a finished one
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow resume runs/first
  faknow resume RUN_DIR --epochs 40                  # extend a finished run
  faknow resume RUN_DIR --from previous              # if `last` is corrupted
  faknow resume RUN_DIR --set data.train=moved.csv   # the records were moved")]
#[command(
    after_help = "The settings are those of the run (`config.toml`); the records are read again. If data, model or settings have
changed since, the run is not resumed unless --allow accepts the change. On a CPU with the same number of threads,
the resumed run has exactly the weights and results of an uninterrupted one. A finished run is tested again."
)]
pub(crate) struct ResumeArgs {
    /// Run directory
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Checkpoint to resume from: a directory in `checkpoints` [default: last]
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Changes to accept: data, model or config; may be repeated
    #[arg(long, value_name = "WHAT")]
    allow: Vec<ChangeKind>,
    /// Maximum number of epochs; a higher one extends the run [default: as before]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    epochs: Option<usize>,
    /// Set a config key, as in early_stopping.patience=10; may be repeated; takes precedence
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// Device: auto, cpu, cuda or cuda:N [default: as before]
    #[arg(long, value_name = "DEVICE", help_heading = "Settings")]
    device: Option<String>,
    /// Number of CPU threads; 0 uses one per core [default: as before]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    threads: Option<usize>,
    /// Do not train the model `linear` too, after the test, to compare with it
    #[arg(long, help_heading = "Settings")]
    no_baseline: bool,
    /// Show live curves, progress and log in the terminal; press q to stop gracefully
    #[arg(long)]
    pub(crate) tui: bool,
    /// Print the result as JSON: run, ended, best_epoch, epochs, epoch_seconds, valid, test, baseline
    #[arg(long)]
    json: bool,
}

impl ResumeArgs {
    pub(crate) fn run(&self, registry: &Registry, console: &Console) -> Result<()> {
        let mut set = Vec::new();
        set.extend(self.epochs.map(|n| format!("trainer.epochs={n}")));
        set.extend(self.device.as_ref().map(|device| format!("device=\"{device}\"")));
        set.extend(self.threads.map(|n| format!("threads={n}")));
        set.extend(self.no_baseline.then(|| "baseline=false".to_owned()));
        set.extend(self.set.iter().cloned());
        let options = ResumeOptions { from: self.from.clone(), allow: self.allow.clone(), set };
        let n_epochs_before = Run::read(&self.run).ok().and_then(|run| Some(run.summary?.n_epochs));
        let context = console.context()?;
        // Until the last line is printed.
        let _guard = context.interrupt.install();
        let result = registry.resume(&self.run, &options, context);
        if let Ok(Outcome { fit, is_interrupted: false, .. }) = &result {
            let n_epochs = fit.history.epochs.len();
            if fit.stop_reason == StopReason::Completed && n_epochs_before == Some(n_epochs) {
                let (run, more) = (self.run.display(), 2 * n_epochs);
                tracing::info!("to extend the finished run: `faknow resume {run} --epochs {more}`");
            }
        }
        train::show_result(result.map_err(Into::into), self.json)
    }
}
