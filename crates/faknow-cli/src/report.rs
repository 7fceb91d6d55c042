//! `faknow report`: run directories as one HTML page.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::data::common::write_atomically;
use faknow::report::{Run, render};

use crate::console::print;

/// Show one run, or several side by side, as one HTML page that needs no network
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow report runs/textcnn-…
  faknow report runs/textcnn-… runs/bigcn-… --out comparison.html

Curves, the test with confidence intervals, calibration, thresholds, mistakes and what drove them, time, settings; of
several runs also a comparison. Training writes `report.html` into its run directory by itself.")]
pub(crate) struct ReportArgs {
    /// Run directories
    #[arg(value_name = "RUN_DIR", required = true)]
    runs: Vec<PathBuf>,
    /// The page (default: `report.html` in the run directory; of several runs `comparison.html` here)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportArgs {
    pub(crate) fn run(&self) -> Result<()> {
        let runs: Vec<Run> = self.runs.iter().map(|run| Run::read(run)).collect::<Result<_, _>>()?;
        let page = match (&self.out, &self.runs[..]) {
            (Some(out), _) => out.clone(),
            (None, [run]) => run.join("report.html"),
            (None, _) => "comparison.html".into(),
        };
        let html = render(&runs)?;
        write_atomically(&page, |file| file.write_all(html.as_bytes()))
            .map_err(|error| faknow::Error::io(&page, error))?;
        print(&page.display().to_string())
    }
}
