//! Every measured value as a row of a table.

use std::path::PathBuf;

use faknow_metrics::{EpochRecord, Evaluation, Scores};

use crate::run_file::RunFile;
use crate::{Callback, Error, Flow, Result, Run, text};

const HEADER: &str = "epoch,step,phase,name,value";

/// Writes `metrics.csv` into the run's folder: the columns `epoch,step,phase,name,value`, a row per value.
///
/// `phase` is `train`, `valid` or `test`. Besides `loss`, its parts and the metrics there are, in phase `train`,
/// `learning_rate` (`learning_rate/0`, … if the run has several parameter groups) and `grad_norm`, and in each
/// phase its duration `seconds`. A value that is undefined leaves its field empty. Numbers keep all their digits.
///
/// A validation inside an epoch has rows of phase `valid` with its own step. The file is complete after each epoch.
/// A resumed run goes on where its weights stand: rows of later steps go, and those of a test, which comes again.
///
/// # Errors
/// The run has no folder and no path was given; the file cannot be written.
#[derive(Debug)]
pub struct CsvLog {
    file: RunFile,
}

impl CsvLog {
    /// Writes to `metrics.csv` in the run's folder.
    pub fn new() -> Self {
        Self { file: RunFile::new("metrics.csv").with_header(HEADER) }
    }

    /// Writes to this file instead.
    pub fn to(path: impl Into<PathBuf>) -> Self {
        Self { file: Self::new().file.at(path) }
    }
}

impl Default for CsvLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for CsvLog {
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        let now = run.step;
        // A run at step 0 has measured nothing: what stands in the file is not its own.
        self.file
            .open(run, |line| now > 0 && (line == HEADER || step_of(line).is_some_and(|step| step <= now)))
    }

    fn on_resume(&mut self, run: &mut Run) -> Result<()> {
        let now = run.step;
        self.file.open(run, |line| {
            let of_a_test = line.split(',').nth(2) == Some("test");
            let before = |step| step < now || (step == now && !of_a_test);
            line == HEADER || step_of(line).is_some_and(before)
        })
    }

    fn on_validation_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        if run.history.is_inside(record) {
            let mut rows = Rows::new(record.epoch, record.step);
            rows.validation(record)?;
            self.file.write(run, &rows.finish()?)?;
        }
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        let mut rows = Rows::new(record.epoch, record.step);
        rows.scores("train", &record.train)?;
        match record.learning_rates.as_slice() {
            [rate] => rows.row("train", "learning_rate", Some(*rate))?,
            rates => {
                for (group, rate) in rates.iter().enumerate() {
                    rows.row("train", &format!("learning_rate/{group}"), Some(*rate))?;
                }
            }
        }
        if record.grad_norm.is_some() {
            rows.row("train", "grad_norm", record.grad_norm)?;
        }
        rows.row("train", "seconds", Some(record.train_seconds))?;
        rows.validation(record)?;
        self.file.write(run, &rows.finish()?)?;
        Ok(Flow::Continue)
    }

    fn on_test_end(&mut self, run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        let mut rows = Rows::new(run.epoch, run.step);
        rows.scores("test", &evaluation.scores)?;
        rows.row("test", "seconds", Some(evaluation.seconds))?;
        self.file.write(run, &rows.finish()?)
    }
}

/// Rows of one epoch, quoted where a name needs it.
struct Rows {
    epoch: String,
    step: String,
    writer: csv::Writer<Vec<u8>>,
}

impl Rows {
    fn new(epoch: usize, step: u64) -> Self {
        Self {
            epoch: epoch.to_string(),
            step: step.to_string(),
            writer: csv::Writer::from_writer(Vec::new()),
        }
    }

    fn scores(&mut self, phase: &str, scores: &Scores) -> Result<()> {
        scores.iter().try_for_each(|(name, score)| self.row(phase, name, text::defined(score)))
    }

    fn validation(&mut self, record: &EpochRecord) -> Result<()> {
        let Some(valid) = &record.valid else { return Ok(()) };
        self.scores("valid", valid)?;
        self.row("valid", "seconds", Some(record.valid_seconds))
    }

    fn row(&mut self, phase: &str, name: &str, value: Option<f64>) -> Result<()> {
        let value = value.map_or_else(String::new, |v| v.to_string());
        let row = [self.epoch.as_str(), &self.step, phase, name, &value];
        self.writer.write_record(row).map_err(failed)
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.writer.into_inner().map_err(failed)
    }
}

fn step_of(line: &str) -> Option<u64> {
    line.split(',').nth(1)?.parse().ok()
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Custom { callback: "CsvLog".to_owned(), message: error.to_string() }
}
