//! `faknow predict`: a trained detector judges records, a bounded number at a time.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::config::Threshold;
use faknow::data::RecordReader;
use faknow::detector::Explanation;
use faknow::models::Registry;
use faknow::{Config, Detector};

use crate::input::open;
use crate::options::RecordOptions;
use crate::predict_trees;
use crate::tree_options::JudgedTrees;
use crate::writer::Writer;

/// Judge records with a trained detector
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow predict runs/textcnn-… --input new.csv --text tweet > judged.jsonl
  echo '{\"text\": \"Aliens endorse the mayor\"}' | faknow predict runs/textcnn-… --input -
  faknow predict runs/textcnn-… --input new.csv --explain --threshold f1
  faknow predict runs/bigcn-… --input cascades.jsonl --explain

Writes one JSON object a line, in the order of the input: its fields, then `label`, `score` (of that label, from 0 to
1) and `scores` (of every class); to a file.csv or file.tsv the same as columns. A broken record ends the work with
exit code 2; what stands before it is written.")]
pub(crate) struct PredictArgs {
    /// Run folder of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Records to judge, or trees as JSON lines; - reads JSON lines (or --format) from standard input
    #[arg(long, value_name = "FILE|-", required_unless_present_any = ["trees", "upfd"])]
    input: Option<PathBuf>,
    #[command(flatten)]
    trees: JudgedTrees,
    /// Say what each word of a text, or each node of a tree, did for the answer
    #[arg(long)]
    explain: bool,
    /// Judge by another threshold than that of the training: highest, f1, precision, or a number
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
        if detector.reads_trees() {
            let mut writer = Writer::new(self.output.as_deref(), detector.classes())?;
            return match &self.input {
                Some(input) => predict_trees::of_json(&detector, input, self.explain, &mut writer),
                None => predict_trees::of_file(&detector, &self.trees.to_data(), self.explain, &mut writer),
            };
        }
        let records = self.open(&detector)?;
        let mut writer = Writer::new(self.output.as_deref(), detector.classes())?;
        if self.explain {
            return self.explain_all(&detector, records, &mut writer);
        }
        detector.predict_stream(records, |judged| {
            for (fields, prediction) in judged {
                match writer.write(fields, &prediction) {
                    Ok(()) => {}
                    Err(error) => return self.not_written(error),
                }
            }
            writer.flush().map_or_else(|error| self.not_written(error), |()| Ok(true))
        })?;
        Ok(())
    }

    /// Judges and explains, a text at a time: an explanation takes so long that there is nothing to gain by more.
    fn explain_all(&self, detector: &Detector, records: RecordReader, writer: &mut Writer) -> Result<()> {
        for record in records {
            let record = record?;
            for Explanation { prediction, parts, baseline, residual } in detector.explain(&[record.text])? {
                let mut fields = record.fields.clone();
                fields.insert("parts".into(), serde_json::to_value(parts)?);
                fields.insert("baseline".into(), baseline.into());
                fields.insert("residual".into(), residual.into());
                let written = writer.write(fields, &prediction).and_then(|()| writer.flush());
                if !written.map_or_else(|error| self.not_written(error), |()| Ok(true))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether to go on: whoever read us may have seen enough.
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

    fn open(&self, detector: &Detector) -> Result<RecordReader> {
        let Some(input) = self.input.as_deref() else {
            let message = "this detector judges texts: expected them with --input";
            return Err(faknow::Error::config("--input", message).into());
        };
        open(input, &self.fields, detector)
    }
}
