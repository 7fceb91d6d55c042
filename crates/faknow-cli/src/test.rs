//! `faknow test`: a trained detector against labelled records.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::config::Threshold;
use faknow::models::Registry;
use serde_json::json;

use crate::console::print;
use crate::options::LabelledOptions;
use crate::train::all_scores;
use crate::tree_options::JudgedTrees;

/// Test a trained detector on labelled records
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow test runs/textcnn-… --data test.csv
  faknow test runs/textcnn-… --data other.jsonl --text body --label verdict --json
  faknow test runs/bigcn-… --trees data.TD_RvNN.vol_5000.txt --labels label_All.txt --ids fold0.test.txt")]
pub(crate) struct TestArgs {
    /// Run folder of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Labelled records; fields are as in training unless said otherwise
    #[arg(long, value_name = "FILE", required_unless_present_any = ["trees", "upfd"])]
    data: Option<PathBuf>,
    #[command(flatten)]
    trees: JudgedTrees,
    #[command(flatten)]
    fields: LabelledOptions,
    /// Judge by another threshold than that of the training: highest, f1, precision, or a number
    #[arg(long, value_name = "RULE")]
    threshold: Option<Threshold>,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// End the output with one JSON line: run, data, test
    #[arg(long)]
    json: bool,
}

impl TestArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let device = Config { device: self.device.clone(), ..Config::default() }.device()?;
        let mut detector = registry.load_detector(&self.run, device)?;
        if let Some(threshold) = self.threshold {
            detector = detector.with_threshold(threshold)?;
        }
        let (source, tested) = match (&self.data, detector.reads_trees()) {
            (Some(data), false) => {
                (data.clone(), detector.test(data, &self.fields.apply_to(detector.config())?)?)
            }
            (data, _) => {
                let mut config = self.trees.to_data();
                config.train.clone_from(data);
                let source = [data, &config.trees, &config.upfd].into_iter().flatten().next().cloned();
                (source.unwrap_or_default(), detector.test_trees(detector.read_trees(&config)?)?)
            }
        };
        if self.json {
            let summary = json!({ "run": self.run, "data": source, "test": all_scores(&tested) });
            return print(&summary.to_string());
        }
        let (evaluation, report) = tested;
        let loss = evaluation.scores.value("loss").unwrap_or(f64::NAN);
        let n_samples = evaluation.predictions.n_samples();
        print(&format!("{} ({n_samples} samples, loss {loss:.4})\n\n{report}", source.display()))
    }
}
