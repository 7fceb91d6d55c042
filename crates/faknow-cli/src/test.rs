//! `faknow test`: tests a trained detector on labeled records.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::config::{DataConfig, DataFiles, Threshold};
use faknow::data::SkipBroken;
use faknow::detector::DetectorEvaluation;
use faknow::models::Registry;
use serde_json::json;

use crate::column_options::ColumnOptions;
use crate::console::print;
use crate::options::{LabeledOptions, LeaveOutOptions};
use crate::train::all_scores;
use crate::tree_options::InputTrees;

/// Test a trained detector on labeled records
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow test runs/first --data posts/test.csv
  faknow test runs/textcnn-… --data real=a.csv,fake=b.csv
  faknow test runs/textcnn-… --data other.jsonl --text body --label verdict --json
  faknow test runs/bigcn-… --trees data.TD_RvNN.vol_5000.txt --labels label_All.txt --ids fold0.test.txt")]
pub(crate) struct TestArgs {
    /// Run directory of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Labeled records; the fields are those of the training unless given
    #[arg(long, value_name = "FILE,…", value_parser = DataFiles::parse, required_unless_present_any = ["trees", "upfd"])]
    data: Option<DataFiles>,
    #[command(flatten)]
    trees: InputTrees,
    #[command(flatten)]
    fields: LabeledOptions,
    #[command(flatten)]
    columns: ColumnOptions,
    #[command(flatten)]
    leave_out: LeaveOutOptions,
    /// Threshold: highest, f1, precision, or a number from 0 to 1 [default: as in training]
    #[arg(long, value_name = "RULE")]
    threshold: Option<Threshold>,
    /// Treat images that cannot be read as missing [default: as in training]
    #[arg(long)]
    ignore_broken_images: bool,
    /// Device: cpu, cuda, cuda:N, or auto for CUDA if available
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print the result as JSON: run, data, test
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
        if self.ignore_broken_images {
            detector = detector.without_broken_images()?;
        }
        let trees = self.trees.to_data();
        let given = self.fields.apply(Config { data: trees, ..Config::default() })?.data;
        let mut given = DataConfig { train: self.data.clone(), ..given };
        self.columns.apply(&mut given);
        self.leave_out.apply(&mut given);
        detector.check_data(&given)?;
        let trees = given.trees.as_deref().or(given.upfd.as_deref()).map(DataFiles::from);
        let source = given.train.clone().or(trees).unwrap_or_else(|| DataFiles::from(""));
        let result = if detector.has_tree_input() {
            detector.test_trees(detector.read_trees(&given)?)?
        } else {
            let mut data = self.fields.apply_to(detector.config())?;
            data.skip_broken = SkipBroken::default();
            self.columns.apply(&mut data);
            self.leave_out.apply(&mut data);
            detector.test(source.clone(), &data)?
        };
        let units = if detector.has_tree_input() { "trees" } else { "texts" };
        let warnings = result.known_tokens.warnings(&source.to_string(), units);
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        if self.json {
            let summary = json!({
                "run": self.run.to_string_lossy(),
                "data": source.to_string(),
                "test": all_scores(&result),
            });
            return print(&summary.to_string());
        }
        let DetectorEvaluation { evaluation, report, known_tokens, domains, inputs } = result;
        let loss = evaluation.scores.value("loss").unwrap_or(f64::NAN);
        let n_samples = known_tokens.n_samples;
        let without = match known_tokens.n_without {
            0 => String::new(),
            n => format!("{n} without a known token, "),
        };
        let groups = [domains, inputs].into_iter().filter(|groups| !groups.is_empty());
        let groups: String = groups.map(|groups| format!("\n{groups}")).collect();
        print(&format!(
            "{source} ({n_samples} samples, {without}uncalibrated loss {loss:.4})\n\n{report}{groups}"
        ))
    }
}
