//! `faknow predict`: classifies records or trees with a trained detector, a bounded number at a time.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::config::Threshold;
use faknow::detector::{Classified, Explanation, TextExplanation, TreeExplanation};
use faknow::models::Registry;
use serde_json::{Map, Value, json};

use crate::input::open;
use crate::options::RecordOptions;
use crate::tree_options::InputTrees;
use crate::writer::Writer;

/// Classify records with a trained detector
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow predict runs/textcnn-… --input new.csv --text tweet > predictions.jsonl
  echo '{\"text\": \"Aliens endorse the mayor\"}' | faknow predict runs/textcnn-… --input -
  faknow predict runs/textcnn-… --input new.csv --explain --threshold f1
  faknow predict runs/bigcn-… --input cascades.jsonl --explain

Writes one JSON object a line, in the order of the input: its fields, then `label`, `score` (of that label, from 0 to
1) and `scores` (of every class); to a file.csv or file.tsv the same as columns. A broken record ends the work with
exit code 2; what stands before it is written.")]
pub(crate) struct PredictArgs {
    /// Run directory of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Records, or trees as JSON lines; - reads JSON lines (or --format) from standard input
    #[arg(long, value_name = "FILE|-", required_unless_present_any = ["trees", "upfd"])]
    input: Option<PathBuf>,
    #[command(flatten)]
    trees: InputTrees,
    /// Include the contribution of each word or node
    #[arg(long)]
    explain: bool,
    /// Override the decision threshold: highest, f1, precision, or a number
    #[arg(long, value_name = "RULE")]
    threshold: Option<Threshold>,
    /// Where to write; .csv or .tsv writes columns (default: JSON lines to standard output)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    fields: RecordOptions,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

impl PredictArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let device = Config { device: self.device.clone(), ..Config::default() }.device()?;
        let mut detector = registry.load_detector(&self.run, device)?;
        if let Some(threshold) = self.threshold {
            detector = detector.with_threshold(threshold)?;
        }
        self.check_output()?;
        let records = open(&detector, self.input.as_deref(), &self.fields, self.trees.to_data())?;
        let mut writer = Writer::new(self.output.as_deref(), detector.classes())?;
        detector.predict_stream(records, self.explain, |classified| {
            for Classified { mut fields, prediction, explanation } in classified {
                add_contributions(&mut fields, explanation);
                if let Err(error) = writer.write(fields, &prediction) {
                    return self.not_written(error);
                }
            }
            writer.flush().map_or_else(|error| self.not_written(error), |()| Ok(true))
        })?;
        Ok(())
    }

    /// Whether to continue: a reader that closed the pipe has seen enough.
    fn not_written(&self, error: std::io::Error) -> faknow::Result<bool> {
        match error.kind() {
            ErrorKind::BrokenPipe => Ok(false),
            _ => {
                Err(faknow::Error::io(self.output.as_deref().unwrap_or(Path::new("standard output")), error))
            }
        }
    }

    /// Writing would empty the input before it is read.
    fn check_output(&self) -> Result<()> {
        let (Some(input), Some(output)) = (&self.input, &self.output) else { return Ok(()) };
        let same = || Some(output.canonicalize().ok()? == input.canonicalize().ok()?);
        if same() == Some(true) {
            let message = format!("expected another file than --input, got `{}`", input.display());
            return Err(faknow::Error::config("--output", message).into());
        }
        Ok(())
    }
}

/// Adds the contributions of words or nodes to the fields of a record.
fn add_contributions(fields: &mut Map<String, Value>, explanation: Option<Explanation>) {
    match explanation {
        None => {}
        Some(Explanation::Text(TextExplanation { parts, baseline, residual, .. })) => {
            fields.insert("parts".into(), json!(parts));
            fields.insert("baseline".into(), baseline.into());
            fields.insert("residual".into(), residual.into());
        }
        Some(Explanation::Tree(TreeExplanation { nodes, .. })) => {
            fields.insert("nodes".into(), json!(nodes));
        }
    }
}
