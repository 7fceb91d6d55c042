//! `faknow predict`: classifies records or trees with a trained detector, in chunks of bounded size.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::config::Threshold;
use faknow::detector::{Classified, Explanation, TextExplanation, TreeExplanation};
use faknow::models::Registry;
use serde_json::{Map, Value, json};

use crate::console::is_closed;
use crate::input::open;
use crate::options::RecordOptions;
use crate::tree_options::InputTrees;
use crate::writer::Writer;

/// Classify records with a trained detector
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow predict runs/textcnn-… --input new.csv --text tweet > predictions.jsonl
  echo '{\"text\": \"Aliens endorse the mayor\"}' | faknow predict runs/textcnn-… --input -
  faknow predict runs/textcnn-… --input new.csv --explain --threshold f1
  faknow predict runs/bigcn-… --input cascades.jsonl --explain")]
#[command(
    after_help = "Writes one JSON object per line, in the order of the input: the fields of the record, then `label`, `score` (of
that label, from 0 to 1) and `scores` (of each class); a .csv or .tsv file has the same as columns. An invalid
record stops the command with exit code 2; the predictions of all records before it are written. The file of
--output appears at the end, complete; with `--input -` it grows while records arrive."
)]
pub(crate) struct PredictArgs {
    /// Run directory of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Records, or trees as JSON lines; `-` reads standard input as JSON lines or --format
    #[arg(long, value_name = "FILE|-", required_unless_present_any = ["trees", "upfd"])]
    input: Option<PathBuf>,
    #[command(flatten)]
    trees: InputTrees,
    /// Include the contribution of each word or node to the prediction
    #[arg(long)]
    explain: bool,
    /// Threshold: highest, f1, precision, or a number from 0 to 1 [default: as in training]
    #[arg(long, value_name = "RULE")]
    threshold: Option<Threshold>,
    /// Output file: .csv, .tsv, or JSON lines [default: JSON lines to standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    fields: RecordOptions,
    /// Device: cpu, cuda, cuda:N, or auto for CUDA if available
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
        let is_stream = self.input.as_deref().is_some_and(faknow::data::is_stream);
        let mut writer = Writer::new(self.output.as_deref(), is_stream, detector.classes())?;
        let mut is_written = true;
        let result = detector.predict_stream(records, self.explain, |classified| {
            for Classified { fields, prediction, explanation } in classified {
                if let Err(error) = writer.write(fields, &prediction, contributions(explanation)) {
                    is_written = false;
                    return self.handle_write_error(error);
                }
            }
            let flushed = writer.flush();
            is_written = flushed.is_ok();
            flushed.map_or_else(|error| self.handle_write_error(error), |()| Ok(true))
        });
        // Also after an invalid record. A file that could not be written does not replace an earlier one.
        if is_written && let Err(error) = writer.finish() {
            self.handle_write_error(error)?;
        }
        Ok(result?)
    }

    /// Returns `false`, to stop, if the reader closed the pipe, and the error otherwise.
    fn handle_write_error(&self, error: std::io::Error) -> faknow::Result<bool> {
        let is_closed = match &self.output {
            Some(_) => error.kind() == ErrorKind::BrokenPipe,
            None => is_closed(&error),
        };
        if is_closed {
            return Ok(false);
        }
        Err(faknow::Error::io(self.output.as_deref().unwrap_or(Path::new("standard output")), error))
    }

    /// Checks that the output is not the input, which would be overwritten before it is read.
    fn check_output(&self) -> Result<()> {
        let (Some(input), Some(output)) = (&self.input, &self.output) else { return Ok(()) };
        let is_same = || Some(output.canonicalize().ok()? == input.canonicalize().ok()?);
        if is_same() == Some(true) {
            let message = format!("expected a file other than --input, got `{}`", input.display());
            return Err(faknow::Error::config("--output", message).into());
        }
        Ok(())
    }
}

/// Returns the contributions of words or nodes as fields of the output.
fn contributions(explanation: Option<Explanation>) -> Map<String, Value> {
    let mut fields = Map::new();
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
    fields
}
