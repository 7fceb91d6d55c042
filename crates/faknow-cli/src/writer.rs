//! Writes predictions: the fields of the input record, then the prediction.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Result as IoResult, Write};
use std::path::Path;

use anyhow::Result;
use faknow::data::common::AtomicFile;
use faknow::detector::{InputRecords, SamplePrediction};
use serde_json::{Map, Value};

/// Maximum number of warnings about fields without a column.
const MAX_WARNINGS: usize = 10;

/// Writes predictions as JSON lines or as columns.
pub(crate) struct Writer {
    format: Format,
    /// Names of the fields of predictions and explanations.
    added: Vec<String>,
    classes: Vec<String>,
}

enum Format {
    Jsonl(Output),
    Columns(Box<Columns>),
}

/// Where predictions are written.
enum Output {
    /// Standard output, or a file that is written while records arrive.
    Stream(Box<dyn Write + Send>),
    /// A file that appears when it is complete.
    File(AtomicFile),
}

/// CSV or TSV; the first record determines the columns.
struct Columns {
    writer: csv::Writer<Output>,
    /// Input fields that are written; `None` before the first record.
    fields: Option<Vec<String>>,
    /// Fields without a column, for which a warning was printed.
    missing: BTreeSet<String>,
}

impl Writer {
    /// Creates a writer to a file, with the format of its extension, or of JSON lines to standard output. With `is_stream`, the
    /// file grows while records arrive; else it appears when it is complete. `explanation` has the fields of explanations.
    ///
    /// # Errors
    /// A column of `records` has the name of a column of predictions, or the file cannot be created.
    pub(crate) fn new(
        path: Option<&Path>,
        is_stream: bool,
        classes: &[String],
        explanation: &[&str],
        records: &InputRecords<'_>,
    ) -> Result<Self> {
        let is_table = |extension| matches!(extension, Some("csv" | "tsv"));
        let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
        let scores = match is_table(extension) {
            true => classes.iter().map(|class| score_column(class)).collect(),
            false => vec!["scores".to_owned()],
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let added = [
            names(&["predicted_label", "predicted_score"]),
            scores,
            names(&["known_tokens", "reason"]),
            names(explanation),
        ]
        .concat();
        if let Some(message) = collision(&added, records.columns()) {
            return Err(faknow::data::Error::file(records.source(), message).into());
        }
        let classes = classes.to_vec();
        let Some(path) = path else {
            let out = Output::Stream(Box::new(BufWriter::new(std::io::stdout())));
            return Ok(Self { format: Format::Jsonl(out), added, classes });
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
        let format = match extension {
            Some("csv") => Format::Columns(Box::new(Columns::new(out, b','))),
            Some("tsv") => Format::Columns(Box::new(Columns::new(out, b'\t'))),
            _ => Format::Jsonl(out),
        };
        Ok(Self { format, added, classes })
    }

    /// Returns an error message if one of these input fields has the name of a field of the prediction.
    pub(crate) fn collision<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Option<String> {
        collision(&self.added, names)
    }

    /// Writes the fields of a record, its prediction, and the explanation, which have different names.
    pub(crate) fn write(
        &mut self,
        mut fields: Map<String, Value>,
        prediction: &SamplePrediction,
        explanation: Map<String, Value>,
    ) -> IoResult<()> {
        let is_table = matches!(self.format, Format::Columns(_));
        let mut added = prediction_fields(prediction, &self.classes, is_table);
        added.extend(explanation);
        match &mut self.format {
            Format::Jsonl(out) => {
                fields.extend(added);
                serde_json::to_writer(&mut *out, &fields)?;
                out.write_all(b"\n")
            }
            Format::Columns(columns) => columns.write(&fields, &self.added, &added),
        }
    }

    /// Flushes all buffers.
    pub(crate) fn flush(&mut self) -> IoResult<()> {
        match &mut self.format {
            Format::Jsonl(out) => out.flush(),
            Format::Columns(columns) => columns.writer.flush(),
        }
    }

    /// Flushes all buffers, and gives a complete file its name.
    pub(crate) fn finish(mut self) -> IoResult<()> {
        self.flush()?;
        let out = match self.format {
            Format::Jsonl(out) => out,
            Format::Columns(columns) => {
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
    fn new(out: Output, delimiter: u8) -> Self {
        let writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
        Self { writer, fields: None, missing: BTreeSet::new() }
    }

    /// Writes the fields of a record and those `added` by the prediction, which have the columns `added_names`.
    fn write(
        &mut self,
        record: &Map<String, Value>,
        added_names: &[String],
        added: &Map<String, Value>,
    ) -> IoResult<()> {
        let fields = match self.fields.take() {
            Some(fields) => fields,
            None => {
                let fields: Vec<String> = record.keys().cloned().collect();
                self.writer.write_record(fields.iter().chain(added_names))?;
                fields
            }
        };
        let input = fields.iter().map(|name| cell(record.get(name)));
        self.writer.write_record(input.chain(added_names.iter().map(|name| cell(added.get(name)))))?;
        for name in record.keys().filter(|name| !fields.contains(name)) {
            self.warn_of_missing(name);
        }
        self.fields = Some(fields);
        Ok(())
    }

    /// Warns once of each field without a column.
    fn warn_of_missing(&mut self, name: &str) {
        if self.missing.len() == MAX_WARNINGS || !self.missing.insert(name.to_owned()) {
            return;
        }
        let more = if self.missing.len() == MAX_WARNINGS { "; further fields are not reported" } else { "" };
        let reason = "the first record does not have it; use a .jsonl file to keep it";
        let _ = writeln!(std::io::stderr(), "warning: field `{name}` is not written: {reason}{more}");
    }
}

/// Returns an error message if one of `names` is also in `added`.
fn collision<'a>(added: &[String], names: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let name = names.into_iter().find(|name| added.contains(name))?;
    Some(format!(
        "column `{name}`: the output has a column of this name; rename it, or choose the columns to copy with `--copy A,B`"
    ))
}

/// Returns the fields of a prediction, in the order of the output; null without a prediction.
fn prediction_fields(sample: &SamplePrediction, classes: &[String], is_table: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("predicted_label".into(), sample.label().into());
    fields.insert("predicted_score".into(), sample.score().into());
    let scores = sample.prediction().map(|prediction| &prediction.scores);
    if is_table {
        for (index, class) in classes.iter().enumerate() {
            let score = scores.and_then(|scores| scores.get(index)).map(|(_, score)| *score);
            fields.insert(score_column(class), score.into());
        }
    } else {
        let object = |scores: &Vec<(String, f64)>| -> Map<String, Value> {
            scores.iter().map(|(class, score)| (class.clone(), (*score).into())).collect()
        };
        fields.insert("scores".into(), scores.map(object).into());
    }
    fields.insert("known_tokens".into(), sample.known_tokens.into());
    if let Some(reason) = sample.reason() {
        fields.insert("reason".into(), reason.to_string().into());
    }
    fields
}

fn score_column(class: &str) -> String {
    format!("score_{class}")
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
