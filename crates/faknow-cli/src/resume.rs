//! `faknow resume`: resumes an interrupted run.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::train::ResumeOptions;
use faknow::trainer::ChangeKind;

use crate::console::Console;
use crate::train;

/// Resume an interrupted run, or extend a finished one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow resume runs/textcnn-20260801-120000-3f2a
  faknow resume RUN_DIR --epochs 40                  # extend a finished run
  faknow resume RUN_DIR --from previous              # if `last` is corrupted
  faknow resume RUN_DIR --set data.train=moved.csv   # the records lie elsewhere now

The settings are those of the run (its `config.toml`), the records are read again. What changed since then is
refused, unless it is allowed by name. On the CPU, with the same number of threads, the run ends with the very
weights and results that it would have had. A run that has ended is tested again.")]
pub(crate) struct ResumeArgs {
    /// The run directory
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// The checkpoint to resume from: a directory below `checkpoints` (default last)
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// What may have changed: data, model, config; may be repeated
    #[arg(long, value_name = "WHAT")]
    allow: Vec<ChangeKind>,
    /// Maximum number of epochs, to extend the run
    #[arg(long, value_name = "N", help_heading = "Settings")]
    epochs: Option<usize>,
    /// Any setting by its dotted name, as in early_stopping.patience=10; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// auto, cpu, cuda or cuda:N (default: as before)
    #[arg(long, value_name = "DEVICE", help_heading = "Settings")]
    device: Option<String>,
    /// Threads to compute with (default: as before)
    #[arg(long, value_name = "N", help_heading = "Settings")]
    threads: Option<usize>,
    /// Show curves, progress and the log live in the terminal; press q to stop gracefully
    #[arg(long)]
    pub(crate) tui: bool,
    /// End the output with one JSON line: run, ended, best_epoch, epochs, epoch_seconds, valid, test
    #[arg(long)]
    json: bool,
}

impl ResumeArgs {
    pub(crate) fn run(&self, registry: &Registry, console: &Console) -> Result<()> {
        let mut set = Vec::new();
        set.extend(self.epochs.map(|n| format!("trainer.epochs={n}")));
        set.extend(self.device.as_ref().map(|device| format!("device=\"{device}\"")));
        set.extend(self.threads.map(|n| format!("threads={n}")));
        set.extend(self.set.iter().cloned());
        let options = ResumeOptions { from: self.from.clone(), allow: self.allow.clone(), set };
        let outcome = registry.resume(&self.run, &options, console.context()?)?;
        train::show(&outcome, self.json)
    }
}
