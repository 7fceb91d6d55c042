//! What a detector said of each sample, as a table that spreadsheets and Python read.

use std::fs::File;
use std::path::Path;

use faknow_metrics::Predictions;

use crate::{Error, Result};

/// File of the validation samples in a run directory.
pub const VALID_PREDICTIONS: &str = "predictions/valid.csv";
/// File of the test samples.
pub const TEST_PREDICTIONS: &str = "predictions/test.csv";

/// What stands before a class in the name of the column of its scores.
const SCORE: &str = "score_";

/// What a model said of each sample of a data set.
///
/// As a file: `row`, `label`, `predicted`, `length` (tokens or nodes), `domain` (empty if there is none), and for each class
/// `score_<class>`, the score of the model itself, before any temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionTable {
    /// Labels, scores of the model, and what was decided.
    pub predictions: Predictions,
    /// The classes, in their order.
    pub classes: Vec<String>,
    /// Position of each sample in its data set, from 0, `[n]`.
    pub rows: Vec<usize>,
    /// Tokens or nodes of each sample, `[n]`.
    pub lengths: Vec<usize>,
    /// The domain of each sample, `[n]`; empty if there are none.
    pub domains: Vec<String>,
}

impl PredictionTable {
    /// Writes the table; directories that are missing are made.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        }
        let file = File::create(path).map_err(|error| Error::io(path, error))?;
        self.write_to(csv::Writer::from_writer(file)).map_err(|error| Error::io(path, error.into()))
    }

    fn write_to(&self, mut table: csv::Writer<File>) -> csv::Result<()> {
        let Self { predictions, classes, rows, lengths, domains } = self;
        let fixed = ["row", "label", "predicted", "length", "domain"].map(str::to_owned);
        table.write_record(fixed.into_iter().chain(classes.iter().map(|class| format!("{SCORE}{class}"))))?;
        for row in 0..predictions.n_samples() {
            table.write_field(rows.get(row).copied().unwrap_or(row).to_string())?;
            table.write_field(&classes[predictions.labels()[row]])?;
            table.write_field(&classes[predictions.predicted()[row]])?;
            table.write_field(lengths.get(row).copied().unwrap_or_default().to_string())?;
            table.write_field(domains.get(row).map_or("", String::as_str))?;
            for score in predictions.row(row) {
                table.write_field(score.to_string())?;
            }
            table.write_record(None::<&[u8]>)?;
        }
        Ok(table.flush()?)
    }

    /// Reads what [`write`](Self::write) wrote; `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| Error::io(path, error))?,
        };
        let corrupted = |message: String| Error::corrupted(path, message);
        let mut table = csv::Reader::from_reader(file);
        let header = table.headers().map_err(|error| corrupted(error.to_string()))?.clone();
        let column = |name: &str| {
            let at = header.iter().position(|column| column == name);
            at.ok_or_else(|| corrupted(format!("expected a column `{name}`, got {header:?}")))
        };
        let names = ["row", "label", "predicted", "length", "domain"];
        let [row, label, predicted, length, domain] = names.map(column);
        let (row, label, predicted, length, domain) = (row?, label?, predicted?, length?, domain?);
        let (at, classes): (Vec<usize>, Vec<String>) = header
            .iter()
            .enumerate()
            .filter_map(|(at, name)| Some((at, name.strip_prefix(SCORE)?.to_owned())))
            .unzip();
        let (mut labels, mut decided, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rows, mut lengths, mut domains) = (Vec::new(), Vec::new(), Vec::new());
        for (number, record) in table.records().enumerate() {
            let wrong =
                |what: &str, got: &str| corrupted(format!("row {number}: expected {what}, got `{got}`"));
            let record = record.map_err(|error| corrupted(error.to_string()))?;
            let class = |at: usize| {
                let class = classes.iter().position(|class| *class == record[at]);
                class.ok_or_else(|| wrong("a class", &record[at]))
            };
            labels.push(class(label)?);
            decided.push(class(predicted)?);
            rows.push(record[row].parse().map_err(|_| wrong("a position", &record[row]))?);
            lengths.push(record[length].parse().map_err(|_| wrong("a length", &record[length]))?);
            domains.push(record[domain].to_owned());
            for &at in &at {
                scores.push(record[at].parse().map_err(|_| wrong("a score", &record[at]))?);
            }
        }
        if domains.iter().all(String::is_empty) {
            domains.clear();
        }
        let predictions = Predictions::new(classes.len(), labels, scores)
            .and_then(|predictions| predictions.with_predicted(decided))
            .map_err(|error| corrupted(error.to_string()))?;
        Ok(Some(Self { predictions, classes, rows, lengths, domains }))
    }
}
