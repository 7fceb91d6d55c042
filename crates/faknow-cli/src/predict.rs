//! `faknow predict`: a trained detector judges records, a bounded number at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::data::{Format, ReadOptions, Record, RecordReader};
use faknow::recipe::{Config, Detector, Prediction};
use serde_json::{Map, Value};

use crate::options::FieldOptions;

/// Records that are read, judged and written together: enough to batch well, few enough to stay in memory.
const CHUNK: usize = 2048;

/// Judge records with a trained detector
///
/// Writes one JSON object a line: the input's fields, then `label`, `score` (of that label) and `scores` (of every
/// class); with --output FILE.csv the same as columns.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow predict runs/textcnn-… --input new.csv --text tweet > judged.jsonl
  echo '{\"text\": \"Aliens endorse the mayor\"}' | faknow predict runs/textcnn-… --input -")]
pub(crate) struct PredictArgs {
    /// Run folder of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Records to judge; - reads JSON lines (or --format) from standard input
    #[arg(long, value_name = "FILE|-")]
    input: PathBuf,
    /// Where to write; .csv or .tsv writes columns (default: JSON lines to standard output)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    fields: FieldOptions,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
}

impl PredictArgs {
    pub(crate) fn run(&self) -> Result<()> {
        let device = Config { device: self.device.clone(), ..Config::default() }.device()?;
        let detector = Detector::load(&self.run, device)?;
        let mut records = self.open(&detector)?;
        let mut writer = Writer::new(self.output.as_deref(), detector.classes())?;
        loop {
            let (chunk, end) = next_chunk(&mut records);
            let fields: Vec<Map<String, Value>> = chunk.iter().map(|record| record.fields.clone()).collect();
            let predictions = detector.predict_records(chunk.into_iter().map(Ok).collect())?;
            for (fields, prediction) in fields.into_iter().zip(predictions) {
                match writer.write(fields, &prediction) {
                    // Whoever read us has seen enough.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                    other => other?,
                }
            }
            match writer.flush() {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                other => other?,
            }
            match end {
                End::More => {}
                End::Done => return Ok(()),
                // What stands before the broken record is written by now.
                End::Broken(error) => return Err(error.into()),
            }
        }
    }

    fn open(&self, detector: &Detector) -> Result<RecordReader> {
        let mut config = detector.config().clone();
        config.data.format = None;
        let data = self.fields.apply_to(&config)?;
        let options = ReadOptions { keep_all: true, ..data.read_options(false) };
        if self.input != Path::new("-") {
            return Ok(RecordReader::open(&self.input, &options, None)?);
        }
        let options = ReadOptions { format: options.format.or(Some(Format::Jsonl)), ..options };
        let input: Box<dyn BufRead + Send> = Box::new(BufReader::new(std::io::stdin()));
        Ok(RecordReader::from_reader(input, "standard input", &options, None)?)
    }
}

enum End {
    More,
    Done,
    Broken(faknow::data::Error),
}

fn next_chunk(records: &mut RecordReader) -> (Vec<Record>, End) {
    let mut chunk = Vec::new();
    while chunk.len() < CHUNK {
        match records.next() {
            Some(Ok(record)) => chunk.push(record),
            Some(Err(error)) => return (chunk, End::Broken(error)),
            None => return (chunk, End::Done),
        }
    }
    (chunk, End::More)
}

/// Writes judged records.
enum Writer {
    Jsonl(Box<dyn Write>),
    Csv { writer: csv::Writer<Box<dyn Write>>, classes: Vec<String>, header: Option<Vec<String>> },
}

impl Writer {
    fn new(path: Option<&Path>, classes: &[String]) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Jsonl(Box::new(BufWriter::new(std::io::stdout().lock()))));
        };
        let file = File::create(path).map_err(|e| faknow::Error::io(path, e))?;
        let out: Box<dyn Write> = Box::new(BufWriter::new(file));
        Ok(match path.extension().and_then(|e| e.to_str()) {
            Some(ending @ ("csv" | "tsv")) => {
                let delimiter = if ending == "csv" { b',' } else { b'\t' };
                let writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
                Self::Csv { writer, classes: classes.to_vec(), header: None }
            }
            _ => Self::Jsonl(out),
        })
    }

    fn write(&mut self, mut fields: Map<String, Value>, prediction: &Prediction) -> std::io::Result<()> {
        match self {
            Self::Jsonl(out) => {
                if let Value::Object(said) = serde_json::to_value(prediction)? {
                    // What is asked for wins over an input field of the same name.
                    fields.extend(said);
                }
                serde_json::to_writer(&mut *out, &fields)?;
                out.write_all(b"\n")
            }
            Self::Csv { writer, classes, header } => {
                let columns = match header {
                    Some(columns) => columns,
                    None => {
                        let reserved = |name: &&String| !matches!(name.as_str(), "label" | "score");
                        let columns: Vec<String> = fields.keys().filter(reserved).cloned().collect();
                        let own = ["label".to_owned(), "score".to_owned()];
                        let scores = classes.iter().map(|class| format!("score_{class}"));
                        writer.write_record(columns.iter().cloned().chain(own).chain(scores))?;
                        header.insert(columns)
                    }
                };
                let cell = |value: Option<&Value>| match value {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                let input = columns.iter().map(|name| cell(fields.get(name)));
                let scores = prediction.scores.iter().map(|(_, score)| score.to_string());
                let own = [prediction.label.clone(), prediction.score.to_string()];
                writer.write_record(input.chain(own).chain(scores))?;
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Jsonl(out) => out.flush(),
            Self::Csv { writer, .. } => writer.flush(),
        }
    }
}
