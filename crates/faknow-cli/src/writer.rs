//! Writes predictions: the fields of the input record, then the prediction.

use std::fs::File;
use std::io::{BufWriter, Result as IoResult, Write};
use std::path::Path;

use anyhow::Result;
use faknow::Prediction;
use faknow::data::common::AtomicFile;
use serde_json::{Map, Value};

/// Writes predictions as JSON lines or as columns.
pub(crate) enum Writer {
    Jsonl(Output),
    Columns(Box<Columns>),
}

/// Where predictions are written.
pub(crate) enum Output {
    /// Standard output, or a file that is written while records arrive.
    Stream(Box<dyn Write + Send>),
    /// A file that appears when it is complete.
    File(AtomicFile),
}

/// CSV or TSV; the first record determines the columns.
pub(crate) struct Columns {
    writer: csv::Writer<Output>,
    classes: Vec<String>,
    /// Input fields that are written; `None` before the first record.
    fields: Option<Vec<String>>,
    /// Whether a warning about a dropped field was printed.
    has_warned: bool,
}

impl Writer {
    /// Creates a writer to a file, with the format of its extension, or of JSON lines to standard output. With `is_stream`, the
    /// file grows while records arrive; else it appears when it is complete.
    pub(crate) fn new(path: Option<&Path>, is_stream: bool, classes: &[String]) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Jsonl(Output::Stream(Box::new(BufWriter::new(std::io::stdout())))));
        };
        if let Some(parent) = path.parent().filter(|it| !it.as_os_str().is_empty() && !it.is_dir()) {
            let message = format!("the directory `{}` does not exist", parent.display());
            return Err(faknow::Error::config("--output", message).into());
        }
        let out = match is_stream {
            true => File::create(path).map(|file| Output::Stream(Box::new(BufWriter::new(file)))),
            false => AtomicFile::create(path).map(Output::File),
        };
        let out = out.map_err(|e| faknow::Error::io(path, e))?;
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

    /// Flushes all buffers, and gives a complete file its name.
    pub(crate) fn finish(mut self) -> IoResult<()> {
        self.flush()?;
        let out = match self {
            Self::Jsonl(out) => out,
            Self::Columns(columns) => {
                columns.writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?
            }
        };
        match out {
            Output::Stream(mut out) => out.flush(),
            Output::File(file) => file.finish(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        match self {
            Self::Stream(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> IoResult<()> {
        match self {
            Self::Stream(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

impl Columns {
    fn new(out: Output, delimiter: u8, classes: &[String]) -> Self {
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
