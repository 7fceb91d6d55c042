//! The run's metrics as tables: one row per epoch, a column per metric.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use faknow_data::common::write_atomically;
use faknow_metrics::{EpochRecord, Evaluation, Scores};

use super::run_file::{RunFile, place};
use crate::{Callback, Error, Flow, HookResult, Phase, Result, Run, format};

const FILE: &str = "metrics.csv";
const TEST_FILE: &str = "test_metrics.csv";

/// Writes `metrics.csv` into the run's directory, a row per epoch:
/// `epoch,step,train/loss,…,valid/loss,valid/accuracy,…,lr,grad_norm,seconds`, and `test_metrics.csv` with a row
/// `epoch,step,test/loss,…,seconds` for the last test.
///
/// The columns are those of the epoch's record: losses and their parts, metrics, logged values; `lr` is the learning rate
/// during the epoch (`lr/0`, … if the run has several parameter groups), `grad_norm` the mean norm of the gradients if it is
/// measured, `seconds` the duration of training and validation. An epoch without validation leaves its columns empty, as
/// does an undefined value. Numbers have all their digits.
///
/// The file is complete after each epoch. Its rows are those of the run's history: a resumed run or one that was rolled
/// back has none of later epochs. Validations inside an epoch are in `history.jsonl`.
///
/// # Errors
/// The run has no directory and no path was given; the file cannot be written.
#[derive(Debug)]
pub struct CsvLog {
    path: Option<PathBuf>,
    file: RunFile,
    /// The header of the open file; none before the first epoch.
    columns: Vec<String>,
}

impl CsvLog {
    /// Writes to `metrics.csv` and `test_metrics.csv` in the run's directory.
    pub fn new() -> Self {
        Self { path: None, file: RunFile::new(FILE), columns: Vec::new() }
    }

    /// Writes to this file instead, and tests next to it.
    pub fn with_path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { file: RunFile::new(FILE).at(&path), path: Some(path), columns: Vec::new() }
    }

    /// Rewrites the table of all epochs.
    fn rewrite(&mut self, run: &Run) -> Result<()> {
        let path = place(self.path.as_deref(), run, FILE)?;
        let rows: Vec<Row> = run.history().epochs.iter().map(Row::of).collect();
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
        // The weights that were tested will be others.
        remove(&place(self.path.as_deref(), run, FILE)?.with_file_name(TEST_FILE))?;
        Ok(self.rewrite(run)?)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let row = Row::of(record);
        // The first epoch, or one with a value that those before did not have: another header.
        if row.0.iter().any(|(name, _)| !self.columns.contains(name)) {
            self.rewrite(run)?;
        } else {
            self.file.write(run, &lines([row.fields(&self.columns)])?)?;
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
            let path = place(self.path.as_deref(), run, FILE)?.with_file_name(TEST_FILE);
            let rows = [Row::of_test(run, evaluation)];
            write_table(&path, &columns(&rows), &rows)?;
        }
        Ok(Flow::Continue)
    }
}

/// Names and values of a row.
struct Row(Vec<(String, String)>);

impl Row {
    fn of(record: &EpochRecord) -> Self {
        let mut row = Self::at(record.epoch, record.step);
        row.scores("train", &record.train);
        row.scores("valid", record.valid.as_ref().unwrap_or(&Scores::new()));
        match record.learning_rates.as_slice() {
            [rate] => row.value("lr", *rate),
            rates => {
                for (group, rate) in rates.iter().enumerate() {
                    row.value(&format!("lr/{group}"), *rate);
                }
            }
        }
        if let Some(norm) = record.grad_norm {
            row.value("grad_norm", norm);
        }
        row.value("seconds", record.train_seconds + record.valid_seconds);
        row
    }

    fn of_test(run: &Run, evaluation: &Evaluation) -> Self {
        let mut row = Self::at(run.epoch(), run.step());
        row.scores("test", &evaluation.scores);
        row.value("seconds", evaluation.seconds);
        row
    }

    fn at(epoch: usize, step: u64) -> Self {
        Self(vec![("epoch".to_owned(), epoch.to_string()), ("step".to_owned(), step.to_string())])
    }

    fn scores(&mut self, phase: &str, scores: &Scores) {
        for (name, score) in scores.iter() {
            let value = format::defined(score).map_or_else(String::new, |value| value.to_string());
            self.0.push((format!("{phase}/{name}"), value));
        }
    }

    fn value(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn fields<'a>(&'a self, columns: &[String]) -> Vec<&'a str> {
        let field =
            |column: &String| self.0.iter().find(|(name, _)| name == column).map(|(_, value)| &**value);
        columns.iter().map(|column| field(column).unwrap_or_default()).collect()
    }
}

/// The columns of all rows: what a later row has in addition stands after the column that precedes it there.
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

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

/// Writes a table in the place of an old one; a crash leaves one of the two complete.
fn write_table(path: &Path, columns: &[String], rows: &[Row]) -> Result<()> {
    let header = columns.iter().map(String::as_str).collect();
    let all = std::iter::once(header).chain(rows.iter().map(|row| row.fields(columns)));
    let bytes = lines(all).map_err(|error| Error::io(path, error))?;
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
    }
    write_atomically(path, |file| file.write_all(&bytes)).map_err(|error| Error::io(path, error))
}

/// Rows as text, quoted where a name needs it.
fn lines<'a>(rows: impl IntoIterator<Item = Vec<&'a str>>) -> std::io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(std::io::Error::from)?;
    }
    writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))
}
