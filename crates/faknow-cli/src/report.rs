//! `faknow report`: creates an HTML report of run directories.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::data::common::write_atomically;
use faknow::report::{Run, render};
use faknow::trainer::RunDir;

use crate::console::print;

/// Create an HTML report of one run, or a comparison of several runs
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow report runs/first
  faknow report runs/textcnn-… runs/bigcn-… --out comparison.html")]
#[command(
    after_help = "The report has learning curves, test metrics with confidence intervals, calibration, thresholds, the most
confident errors with the words or nodes that caused them, times and settings; for several runs also a comparison.
It is one self-contained file. `faknow train` writes `report.html` into the run directory."
)]
pub(crate) struct ReportArgs {
    /// Run directories
    #[arg(value_name = "RUN_DIR", required = true)]
    runs: Vec<PathBuf>,
    /// Output file [default: `report.html` in the run directory, or `comparison.html` for several]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportArgs {
    pub(crate) fn run(&self) -> Result<()> {
        // The report of one run is written into its directory.
        let _lock = match (&self.out, &self.runs[..]) {
            (None, [run]) if RunDir::is_used(run) => Some(RunDir::open(run).map_err(faknow::Error::Trainer)?),
            _ => None,
        };
        let runs: Vec<Run> = self.runs.iter().map(|run| Run::read(run)).collect::<Result<_, _>>()?;
        for warning in runs.iter().flat_map(|run| &run.warnings) {
            tracing::warn!("{warning}");
        }
        let path = match (&self.out, &self.runs[..]) {
            (Some(out), _) => out.clone(),
            (None, [run]) => run.join("report.html"),
            (None, _) => "comparison.html".into(),
        };
        let html = render(&runs)?;
        write_atomically(&path, |file| file.write_all(html.as_bytes()))
            .map_err(|error| faknow::Error::io(&path, error))?;
        print(&path.display().to_string())
    }
}
