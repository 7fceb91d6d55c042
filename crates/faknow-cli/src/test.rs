//! `faknow test`: a trained detector against labelled records.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::recipe::{Config, Detector};
use serde_json::json;

use crate::console::print;
use crate::options::LabelledOptions;
use crate::train::all_scores;

/// Test a trained detector on labelled records
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow test runs/textcnn-… --data test.csv
  faknow test runs/textcnn-… --data other.jsonl --text body --label verdict --json")]
pub(crate) struct TestArgs {
    /// Run folder of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Labelled records; fields are as in training unless said otherwise
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    fields: LabelledOptions,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// End the output with one JSON line: run, data, test
    #[arg(long)]
    json: bool,
}

impl TestArgs {
    pub(crate) fn run(&self) -> Result<()> {
        let device = Config { device: self.device.clone(), ..Config::default() }.device()?;
        let detector = Detector::load(&self.run, device)?;
        let tested = detector.test(&self.data, &self.fields.apply_to(detector.config())?)?;
        if self.json {
            let summary = json!({ "run": self.run, "data": self.data, "test": all_scores(&tested) });
            return print(&summary.to_string());
        }
        let (evaluation, report) = tested;
        let loss = evaluation.scores.value("loss").unwrap_or(f64::NAN);
        let n_samples = evaluation.predictions.n_samples();
        print(&format!("{} ({n_samples} samples, loss {loss:.4})\n\n{report}", self.data.display()))
    }
}
