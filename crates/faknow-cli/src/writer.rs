//! Writes predictions: the fields of the input record, then the prediction.

use std::fs::File;
use std::io::{BufWriter, Result as IoResult, Write};
use std::path::Path;

use anyhow::Result;
use faknow::Prediction;
use serde_json::{Map, Value};

/// Writes predictions as JSON lines or as columns.
pub(crate) enum Writer {
    Jsonl(Box<dyn Write + Send>),
    Columns(Box<Columns>),
}

/// CSV or TSV; the first record determines the columns.
pub(crate) struct Columns {
    writer: csv::Writer<Box<dyn Write + Send>>,
    classes: Vec<String>,
    /// Input fields that are written; `None` before the first record.
    fields: Option<Vec<String>>,
    /// Whether a warning about a dropped field was printed.
    has_warned: bool,
}

impl Writer {
    /// Creates a writer to a file, with the format of its extension, or of JSON lines to standard output.
    pub(crate) fn new(path: Option<&Path>, classes: &[String]) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Jsonl(Box::new(BufWriter::new(std::io::stdout()))));
        };
        if let Some(parent) = path.parent().filter(|it| !it.as_os_str().is_empty() && !it.is_dir()) {
            let message = format!("the directory `{}` does not exist", parent.display());
            return Err(faknow::Error::config("--output", message).into());
        }
        let file = File::create(path).map_err(|e| faknow::Error::io(path, e))?;
        let out: Box<dyn Write + Send> = Box::new(BufWriter::new(file));
        Ok(match path.extension().and_then(|e| e.to_str()) {
            Some("csv") => Self::Columns(Box::new(Columns::new(out, b',', classes))),
            Some("tsv") => Self::Columns(Box::new(Columns::new(out, b'\t', classes))),
            _ => Self::Jsonl(out),
        })
    }

    /// Writes the fields of a record, its prediction, and the explanation; later ones replace fields of the same name.
    pub(crate) fn write(
        &mut self,
        mut fields: Map<String, Value>,
        prediction: &Prediction,
        explanation: Map<String, Value>,
    ) -> IoResult<()> {
        match self {
            Self::Jsonl(out) => {
                if let Value::Object(prediction) = serde_json::to_value(prediction)? {
                    fields.extend(prediction);
                }
                fields.extend(explanation);
                serde_json::to_writer(&mut *out, &fields)?;
                out.write_all(b"\n")
            }
            Self::Columns(columns) => {
                fields.extend(explanation);
                columns.write(&fields, prediction)
            }
        }
    }

    /// Flushes all buffers.
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
        Self { writer, classes: classes.to_vec(), fields: None, has_warned: false }
    }

    fn write(&mut self, record: &Map<String, Value>, prediction: &Prediction) -> IoResult<()> {
        let fields = match self.fields.take() {
            Some(fields) => fields,
            None => self.write_header(record)?,
        };
        let input = fields.iter().map(|name| cell(record.get(name)));
        let predicted = [prediction.label.clone(), prediction.score.to_string()];
        let scores = prediction.scores.iter().map(|(_, score)| score.to_string());
        self.writer.write_record(input.chain(predicted).chain(scores))?;
        if !self.has_warned
            && let Some(name) =
                record.keys().find(|&name| !fields.contains(name) && !self.is_prediction(name))
        {
            self.has_warned = true;
            let reason = "the first record does not have it; use a .jsonl file to keep it";
            let _ = writeln!(std::io::stderr(), "warning: field `{name}` is not written: {reason}");
        }
        self.fields = Some(fields);
        Ok(())
    }

    fn write_header(&mut self, first: &Map<String, Value>) -> IoResult<Vec<String>> {
        let fields: Vec<String> = first.keys().filter(|name| !self.is_prediction(name)).cloned().collect();
        let predicted = ["label".to_owned(), "score".to_owned()];
        let scores = self.classes.iter().map(|class| format!("score_{class}"));
        self.writer.write_record(fields.iter().cloned().chain(predicted).chain(scores))?;
        Ok(fields)
    }

    /// Returns whether a column belongs to the prediction.
    fn is_prediction(&self, name: &str) -> bool {
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
