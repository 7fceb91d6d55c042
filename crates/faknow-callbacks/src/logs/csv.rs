//! The metrics of a run as CSV tables: one row per epoch, one column per metric.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use faknow_data::common::write_atomically;
use faknow_metrics::{EpochRecord, Evaluation, Scores};

use super::run_file::{RunFile, resolve_path};
use crate::{Callback, Error, Flow, HookResult, Phase, Result, Run, format};

const FILE: &str = "metrics.csv";
const TEST_FILE: &str = "test_metrics.csv";

/// Writes `metrics.csv` into the run directory, with one row per epoch:
/// `epoch,step,train/loss,…,valid/loss,valid/accuracy,…,lr,grad_norm,seconds`; and `test_metrics.csv`, with one row for the
/// last test: `epoch,step,test/loss,…,seconds`.
///
/// The columns are the values of the epoch's record: losses and their parts, metrics, logged values. `lr` is the learning
/// rate during the epoch (`lr/0`, … with several parameter groups), `grad_norm` the mean norm of the gradients if it is
/// measured, `seconds` the duration of training and validation. The fields of an epoch without validation and of undefined
/// values are empty. Numbers are written with full precision.
///
/// The file is complete after each epoch. Its rows are those of the run's history: later rows are dropped when a run is
/// resumed or rolled back. Validations within an epoch are in `history.jsonl`.
///
/// # Errors
/// The run has no directory and no path was given; the file cannot be written.
#[derive(Debug)]
pub struct CsvLog {
    path: Option<PathBuf>,
    file: RunFile,
    /// The header of the open file; empty before the first epoch.
    columns: Vec<String>,
}

impl CsvLog {
    /// Creates a callback that writes `metrics.csv` and `test_metrics.csv` into the run directory.
    pub fn new() -> Self {
        Self { path: None, file: RunFile::new(FILE), columns: Vec::new() }
    }

    /// Creates a callback that writes to `path`, and `test_metrics.csv` next to it.
    pub fn with_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { file: RunFile::new(FILE).with_path(&path), path: Some(path), columns: Vec::new() }
    }

    /// Writes the table of all epochs again.
    fn rewrite(&mut self, run: &Run) -> Result<()> {
        let path = resolve_path(self.path.as_deref(), run, FILE)?;
        let rows: Vec<Row> = run.history().epochs.iter().map(Row::from_record).collect();
        self.columns = columns(&rows);
        self.file.close();
        if rows.is_empty() {
            return remove(&path);
        }
        write_table(&path, &self.columns, &rows)
    }
}

impl Default for CsvLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for CsvLog {
    fn is_log(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        // The results of a previous test do not apply to the weights of this fit.
        remove(&resolve_path(self.path.as_deref(), run, FILE)?.with_file_name(TEST_FILE))?;
        Ok(self.rewrite(run)?)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let row = Row::from_record(record);
        // The header changes in the first epoch and with every new value.
        if row.0.iter().any(|(name, _)| !self.columns.contains(name)) {
            self.rewrite(run)?;
        } else {
            self.file.write(run, &to_csv([row.fields(&self.columns)])?)?;
        }
        Ok(Flow::Continue)
    }

    fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &Evaluation,
    ) -> HookResult<Flow> {
        if phase == Phase::Test {
            let path = resolve_path(self.path.as_deref(), run, FILE)?.with_file_name(TEST_FILE);
            let rows = [Row::from_test(run, evaluation)];
            write_table(&path, &columns(&rows), &rows)?;
        }
        Ok(Flow::Continue)
    }
}

/// The names and values of a row.
struct Row(Vec<(String, String)>);

impl Row {
    fn from_record(record: &EpochRecord) -> Self {
        let mut row = Self::new(record.epoch, record.step);
        row.add_scores("train", &record.train);
        row.add_scores("valid", record.valid.as_ref().unwrap_or(&Scores::new()));
        match record.learning_rates.as_slice() {
            [lr] => row.add("lr", *lr),
            learning_rates => {
                for (group, lr) in learning_rates.iter().enumerate() {
                    row.add(&format!("lr/{group}"), *lr);
                }
            }
        }
        if let Some(norm) = record.grad_norm {
            row.add("grad_norm", norm);
        }
        row.add("seconds", record.train_seconds + record.valid_seconds);
        row
    }

    fn from_test(run: &Run, evaluation: &Evaluation) -> Self {
        let mut row = Self::new(run.epoch(), run.step());
        row.add_scores("test", &evaluation.scores);
        row.add("seconds", evaluation.seconds);
        row
    }

    fn new(epoch: usize, step: u64) -> Self {
        Self(vec![("epoch".to_owned(), epoch.to_string()), ("step".to_owned(), step.to_string())])
    }

    fn add_scores(&mut self, phase: &str, scores: &Scores) {
        for (name, score) in scores.iter() {
            let value = format::defined(score).map_or_else(String::new, |value| value.to_string());
            self.0.push((format!("{phase}/{name}"), value));
        }
    }

    fn add(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn fields<'a>(&'a self, columns: &[String]) -> Vec<&'a str> {
        let field =
            |column: &String| self.0.iter().find(|(name, _)| name == column).map(|(_, value)| &**value);
        columns.iter().map(|column| field(column).unwrap_or_default()).collect()
    }
}

/// Returns the columns of all rows. An additional column of a later row is inserted after its predecessor in that row.
fn columns(rows: &[Row]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for Row(row) in rows {
        let mut next = 0;
        for (name, _) in row {
            next = match columns.iter().position(|column| column == name) {
                Some(index) => index + 1,
                None => {
                    columns.insert(next, name.clone());
                    next + 1
                }
            };
        }
    }
    columns
}

/// Removes a file if it exists.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

/// Writes a table atomically: after a crash, either the old or the new table is complete.
fn write_table(path: &Path, columns: &[String], rows: &[Row]) -> Result<()> {
    let header = columns.iter().map(String::as_str).collect();
    let all = std::iter::once(header).chain(rows.iter().map(|row| row.fields(columns)));
    let bytes = to_csv(all).map_err(|error| Error::io(path, error))?;
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
    }
    write_atomically(path, |file| file.write_all(&bytes)).map_err(|error| Error::io(path, error))
}

/// Formats rows as CSV, with quotes where necessary.
fn to_csv<'a>(rows: impl IntoIterator<Item = Vec<&'a str>>) -> std::io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(std::io::Error::from)?;
    }
    writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
}
