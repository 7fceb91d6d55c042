//! Predictions per sample as a CSV file.

use std::path::Path;

use faknow_metrics::Predictions;

use crate::checksums::{read_verified, remedy};
use crate::{Error, Result};

/// Path of the predictions for the validation samples, relative to the run directory.
pub const VALID_PREDICTIONS: &str = "predictions/valid.csv";
/// Path of the predictions for the test samples, relative to the run directory.
pub const TEST_PREDICTIONS: &str = "predictions/test.csv";

/// Prefix of score columns; the class name follows.
const SCORE_PREFIX: &str = "score_";

/// The predictions of a model for the samples of a dataset.
///
/// CSV columns: `row`, `label`, `predicted`, `length` (tokens or nodes), `domain` (empty if unknown), `inputs` (of models that read
/// images: `text and image`, `text`, `image` or `none`), and for each class `score_<class>`, the score of the model before temperature
/// scaling.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictionTable {
    /// Labels, scores of the model, and predicted classes.
    pub predictions: Predictions,
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// Index of each sample in its dataset, from 0, `[n]`.
    pub rows: Vec<usize>,
    /// Number of tokens or nodes of each sample, `[n]`.
    pub lengths: Vec<usize>,
    /// Domain of each sample, `[n]`; empty without domains.
    pub domains: Vec<String>,
    /// Which of text and image each sample has, `[n]`; empty for models that do not read images.
    pub inputs: Vec<String>,
}

impl PredictionTable {
    /// Returns the table as CSV.
    ///
    /// # Errors
    /// Never, since memory can be written.
    pub fn to_csv(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.write_to(csv::Writer::from_writer(&mut content))?;
        Ok(content)
    }

    fn write_to(&self, mut table: csv::Writer<&mut Vec<u8>>) -> csv::Result<()> {
        let Self { predictions, classes, rows, lengths, domains, inputs } = self;
        let fixed = ["row", "label", "predicted", "length", "domain"].map(str::to_owned);
        let of_images = (!inputs.is_empty()).then(|| "inputs".to_owned());
        table.write_record(
            fixed
                .into_iter()
                .chain(of_images)
                .chain(classes.iter().map(|class| format!("{SCORE_PREFIX}{class}"))),
        )?;
        for row in 0..predictions.n_samples() {
            table.write_field(rows.get(row).copied().unwrap_or(row).to_string())?;
            table.write_field(&classes[predictions.labels()[row]])?;
            table.write_field(&classes[predictions.predicted()[row]])?;
            table.write_field(lengths.get(row).copied().unwrap_or_default().to_string())?;
            table.write_field(domains.get(row).map_or("", String::as_str))?;
            if let Some(inputs) = inputs.get(row) {
                table.write_field(inputs)?;
            }
            for score in predictions.row(row) {
                table.write_field(score.to_string())?;
            }
            table.write_record(None::<&[u8]>)?;
        }
        Ok(table.flush()?)
    }

    /// Reads the predictions of a run from one of its files; `None` if there is no such file.
    ///
    /// # Errors
    /// The file cannot be read, does not match its checksum, or has other columns or values. A file without checksum is an
    /// error only if its last line is truncated.
    pub fn read(run: &Path, name: &str) -> Result<Option<Self>> {
        let Some(content) = read_verified(run, name)? else { return Ok(None) };
        let path = run.join(name);
        let corrupted =
            |message: String| Error::corrupted(&path, format!("{message}; {}", remedy(run, name)));
        // Those of earlier versions have no checksum.
        if content.last() != Some(&b'\n') {
            return Err(corrupted("expected a complete last line, got a truncated one".to_owned()));
        }
        let mut table = csv::Reader::from_reader(&content[..]);
        let header = table.headers().map_err(|error| corrupted(error.to_string()))?.clone();
        let column = |name: &str| {
            let index = header.iter().position(|column| column == name);
            index.ok_or_else(|| corrupted(format!("expected a column `{name}`, got {header:?}")))
        };
        let names = ["row", "label", "predicted", "length", "domain"];
        let [row, label, predicted, length, domain] = names.map(column);
        let (row, label, predicted, length, domain) = (row?, label?, predicted?, length?, domain?);
        // Those of earlier versions lack it.
        let input = header.iter().position(|column| column == "inputs");
        let (score_columns, classes): (Vec<usize>, Vec<String>) = header
            .iter()
            .enumerate()
            .filter_map(|(index, name)| Some((index, name.strip_prefix(SCORE_PREFIX)?.to_owned())))
            .unzip();
        let (mut labels, mut predicted_classes, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rows, mut lengths) = (Vec::new(), Vec::new());
        let (mut domains, mut inputs) = (Vec::new(), Vec::new());
        for (number, record) in table.records().enumerate() {
            let invalid =
                |what: &str, got: &str| corrupted(format!("row {number}: expected {what}, got `{got}`"));
            let record = record.map_err(|error| corrupted(error.to_string()))?;
            let class = |column: usize| {
                let class = classes.iter().position(|class| *class == record[column]);
                class.ok_or_else(|| invalid("a class", &record[column]))
            };
            labels.push(class(label)?);
            predicted_classes.push(class(predicted)?);
            rows.push(record[row].parse().map_err(|_| invalid("an index", &record[row]))?);
            lengths.push(record[length].parse().map_err(|_| invalid("a length", &record[length]))?);
            domains.push(record[domain].to_owned());
            inputs.push(input.map_or_else(String::new, |input| record[input].to_owned()));
            for &column in &score_columns {
                scores.push(record[column].parse().map_err(|_| invalid("a score", &record[column]))?);
            }
        }
        for column in [&mut domains, &mut inputs] {
            if column.iter().all(String::is_empty) {
                column.clear();
            }
        }
        let predictions = Predictions::new(classes.len(), labels, scores)
            .and_then(|predictions| predictions.with_predicted(predicted_classes))
            .map_err(|error| corrupted(error.to_string()))?;
        Ok(Some(Self { predictions, classes, rows, lengths, domains, inputs }))
    }
}
