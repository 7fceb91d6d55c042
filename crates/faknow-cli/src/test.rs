//! `faknow test`: a trained detector against labelled records.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::recipe::{Config, Detector};
use serde_json::json;

use crate::console::print;
use crate::options::FieldOptions;

/// Test a trained detector on labelled records
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Run folder of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Labelled records; fields are as in training unless said otherwise
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    fields: FieldOptions,
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
        let mut config = detector.config().clone();
        config.data.format = None;
        let (evaluation, report) = detector.test(&self.data, &self.fields.apply_to(&config)?)?;
        let loss = evaluation.scores.value("loss");
        if self.json {
            let mut test = serde_json::to_value(&report)?;
            if let Some(fields) = test.as_object_mut() {
                fields.insert("loss".into(), json!(loss));
            }
            return print(&json!({ "run": self.run, "data": self.data, "test": test }).to_string());
        }
        let n_samples = evaluation.predictions.n_samples();
        print(&format!("{} ({n_samples} samples, loss {:.4})\n\n{report}", self.data.display(), loss.unwrap_or(f64::NAN)))
    }
}
