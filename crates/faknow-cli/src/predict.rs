//! `faknow predict`: classifies records or trees with a trained detector, in chunks of bounded size.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use faknow::Config;
use faknow::config::Threshold;
use faknow::data;
use faknow::detector::{Classified, Explanation, InputRecords, TextExplanation, TreeExplanation};
use faknow::models::Registry;
use serde_json::{Map, Value, json};

use crate::column_options::ColumnOptions;
use crate::console::{Console, is_closed};
use crate::input::open;
use crate::options::RecordOptions;
use crate::predict_summary::PredictSummary;
use crate::tree_options::InputTrees;
use crate::writer::Writer;

/// Fields of the explanation of a text.
const TEXT_EXPLANATION: [&str; 3] = ["parts", "baseline", "residual"];
/// Fields of the explanation of a tree.
const TREE_EXPLANATION: [&str; 1] = ["nodes"];

/// Classify records with a trained detector
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow predict runs/first --input posts/test.csv > predictions.csv
  faknow predict runs/textcnn-… --input new.csv --text tweet > predictions.jsonl
  echo '{\"text\": \"Aliens endorse the mayor\"}' | faknow predict runs/textcnn-… --input -
  faknow predict runs/textcnn-… --input new.csv --explain --threshold f1
  faknow predict runs/bigcn-… --input cascades.jsonl --explain")]
#[command(
    after_help = "Writes one JSON object per line, in the order of the input: the fields of the record, then `predicted_label`,
`predicted_score` (of that label, from 0 to 1), `scores` (of each class; in a .csv or .tsv file `score_CLASS`) and
`known_tokens`, the number of tokens that the model knows. A text without any (empty, missing, emoji, a language that
the model has never seen) has no prediction: these are null, and `reason` says why. Standard error gets a summary.
An invalid record stops the command with exit code 2; the predictions of all records before it are written. The file
of --output appears at the end, complete; with `--input -` it grows while records arrive."
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
    /// For records without a known token: null (no prediction), error, or predict
    #[arg(long, value_name = "ACTION", value_enum, default_value = "null", hide_possible_values = true)]
    on_empty: OnEmpty,
    /// Input columns to copy to the output, separated by commas; '' for none [default: all]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    copy: Option<Vec<String>>,
    /// Output file: .csv, .tsv, or JSON lines [default: JSON lines to standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    fields: RecordOptions,
    #[command(flatten)]
    columns: ColumnOptions,
    /// Treat images that cannot be read as missing [default: as in training]
    #[arg(long)]
    ignore_broken_images: bool,
    /// Device: cpu, cuda, cuda:N, or auto for CUDA if available
    #[arg(long, default_value = "auto")]
    device: String,
}

/// What happens to records without any known token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnEmpty {
    Null,
    Error,
    Predict,
}

impl PredictArgs {
    pub(crate) fn run(&self, registry: &Registry, console: &Console) -> Result<()> {
        let device = Config { device: self.device.clone(), ..Config::default() }.device()?;
        let mut detector = registry.load_detector(&self.run, device)?;
        if let Some(threshold) = self.threshold {
            detector = detector.with_threshold(threshold)?;
        }
        if self.ignore_broken_images {
            detector = detector.without_broken_images()?;
        }
        if self.on_empty == OnEmpty::Predict {
            detector = detector.with_predictions_of_unknown();
        }
        self.check_output()?;
        let records =
            open(&detector, self.input.as_deref(), &self.fields, Some(&self.columns), self.trees.to_data())?;
        let records = self.select_columns(records)?;
        let source = records.source().to_owned();
        let is_stream = self.input.as_deref().is_some_and(data::is_stream);
        let (explanation, unit) = match detector.has_tree_input() {
            true => (&TREE_EXPLANATION[..], "tree"),
            false => (&TEXT_EXPLANATION[..], "record"),
        };
        let explanation = if self.explain { explanation } else { &[] };
        let output = self.output.as_deref();
        let mut writer = Writer::new(output, is_stream, detector.classes(), explanation, &records)?;
        let mut summary = PredictSummary::new(unit, detector.classes());
        let mut is_written = true;
        let result = detector.predict_stream(records, self.explain, |classified| {
            for Classified { number, fields, prediction, explanation } in classified {
                let record_error = |message: String| match fields.get("id").and_then(Value::as_str) {
                    Some(id) if unit == "tree" => {
                        data::Error::file(&source, format!("tree `{id}`: {message}"))
                    }
                    _ => data::Error::record(&source, number, None, message),
                };
                if let Some(reason) = prediction.reason().filter(|_| self.on_empty == OnEmpty::Error) {
                    let help = "`--on-empty null` writes such records without a prediction";
                    return Err(record_error(format!("{reason}; {help}")).into());
                }
                if let Some(message) = writer.collision(fields.keys()) {
                    return Err(record_error(message).into());
                }
                summary.add(&prediction);
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
            is_written = false;
            self.handle_write_error(error)?;
        }
        result?;
        if is_written {
            summary.print(console.is_quiet());
        }
        Ok(())
    }

    /// Retains the columns of `--copy` in the records.
    fn select_columns(&self, records: InputRecords<'static>) -> Result<InputRecords<'static>> {
        let Some(names) = &self.copy else { return Ok(records) };
        let names: Vec<String> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        if let Some(missing) = names.iter().find(|name| !records.columns().contains(name)) {
            let (source, columns) = (records.source().display(), records.columns().join("`, `"));
            let message = format!("expected columns of {source} (`{columns}`), got `{missing}`");
            return Err(faknow::Error::config("--copy", message).into());
        }
        Ok(records.with_fields(&names))
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
