//! Writes classified records: the fields of the input, then the prediction.

use std::fs::File;
use std::io::{BufWriter, Result as IoResult, Write};
use std::path::Path;

use anyhow::Result;
use faknow::Prediction;
use serde_json::{Map, Value};

/// Writes classified records, as JSON lines or as columns.
pub(crate) enum Writer {
    Jsonl(Box<dyn Write + Send>),
    Columns(Box<Columns>),
}

/// CSV or TSV; the first record says which input fields there are.
pub(crate) struct Columns {
    writer: csv::Writer<Box<dyn Write + Send>>,
    classes: Vec<String>,
    /// The input fields that are written, once they are known.
    fields: Option<Vec<String>>,
    /// Whether a field was left out and has been reported.
    reported: bool,
}

impl Writer {
    /// A writer to a file, as its ending says, or of JSON lines to standard output.
    pub(crate) fn new(path: Option<&Path>, classes: &[String]) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Jsonl(Box::new(BufWriter::new(std::io::stdout()))));
        };
        let file = File::create(path).map_err(|e| faknow::Error::io(path, e))?;
        let out: Box<dyn Write + Send> = Box::new(BufWriter::new(file));
        Ok(match path.extension().and_then(|e| e.to_str()) {
            Some("csv") => Self::Columns(Box::new(Columns::new(out, b',', classes))),
            Some("tsv") => Self::Columns(Box::new(Columns::new(out, b'\t', classes))),
            _ => Self::Jsonl(out),
        })
    }

    /// Writes a record; what the detector says takes the place of an input field of the same name.
    pub(crate) fn write(&mut self, mut fields: Map<String, Value>, prediction: &Prediction) -> IoResult<()> {
        match self {
            Self::Jsonl(out) => {
                if let Value::Object(said) = serde_json::to_value(prediction)? {
                    fields.extend(said);
                }
                serde_json::to_writer(&mut *out, &fields)?;
                out.write_all(b"\n")
            }
            Self::Columns(columns) => columns.write(&fields, prediction),
        }
    }

    /// Hands everything over to the system.
    pub(crate) fn flush(&mut self) -> IoResult<()> {
        match self {
            Self::Jsonl(out) => out.flush(),
            Self::Columns(columns) => columns.writer.flush(),
        }
    }
}

impl Columns {
    fn new(out: Box<dyn Write + Send>, delimiter: u8, classes: &[String]) -> Self {
        let writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
        Self { writer, classes: classes.to_vec(), fields: None, reported: false }
    }

    fn write(&mut self, record: &Map<String, Value>, prediction: &Prediction) -> IoResult<()> {
        let fields = match self.fields.take() {
            Some(fields) => fields,
            None => self.write_header(record)?,
        };
        let input = fields.iter().map(|name| cell(record.get(name)));
        let own = [prediction.label.clone(), prediction.score.to_string()];
        let scores = prediction.scores.iter().map(|(_, score)| score.to_string());
        self.writer.write_record(input.chain(own).chain(scores))?;
        if !self.reported
            && let Some(name) = record.keys().find(|&name| !fields.contains(name) && !self.is_own(name))
        {
            self.reported = true;
            let advice = "the first record lacks it; JSON lines would keep it";
            let _ = writeln!(std::io::stderr(), "warning: field `{name}` is not among the columns: {advice}");
        }
        self.fields = Some(fields);
        Ok(())
    }

    fn write_header(&mut self, first: &Map<String, Value>) -> IoResult<Vec<String>> {
        let fields: Vec<String> = first.keys().filter(|name| !self.is_own(name)).cloned().collect();
        let own = ["label".to_owned(), "score".to_owned()];
        let scores = self.classes.iter().map(|class| format!("score_{class}"));
        self.writer.write_record(fields.iter().cloned().chain(own).chain(scores))?;
        Ok(fields)
    }

    /// Whether a column is the detector's.
    fn is_own(&self, name: &str) -> bool {
        let class = name.strip_prefix("score_");
        matches!(name, "label" | "score")
            || class.is_some_and(|class| self.classes.iter().any(|c| c == class))
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
