//! The run's history as JSON lines, for programs.

use std::path::PathBuf;

use faknow_metrics::{EpochRecord, Evaluation, Scores};
use serde::Serialize;

use crate::run_file::RunFile;
use crate::{BatchEnd, Best, Callback, Error, Flow, Result, Run, StopReason};

/// Writes `history.jsonl` into the run's folder: a JSON object per line, told apart by `type`.
///
/// | `type` | when | other keys |
/// | --- | --- | --- |
/// | `step` | every [`log_every`](Self::log_every) steps | `epoch`, `step`, `loss`, `parts`, `lr`, `grad_norm` of this batch |
/// | `validation` | after a validation inside an epoch | those of [`EpochRecord`]: the epoch so far |
/// | `epoch` | after each epoch | those of [`EpochRecord`] |
/// | `test` | after a test | `epoch`, `step`, `scores`, `seconds` |
/// | `end` | the run ends | `reason` and its details, `epoch`, `step`, `best` |
/// | `error` | the run fails | `message`, `epoch`, `step` |
///
/// `parts` and `grad_norm` are absent where there are none; a number that is undefined or not finite is null.
/// Each line is in the file as soon as it is told. A resumed run goes on where its weights stand: lines of later
/// steps go, and those of its end, which comes again.
///
/// # Errors
/// The run has no folder and no path was given; the file cannot be written.
#[derive(Debug)]
pub struct JsonlLog {
    file: RunFile,
    log_every: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Step {
        epoch: usize,
        step: u64,
        loss: f64,
        #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
        parts: serde_json::Map<String, serde_json::Value>,
        lr: &'a [f64],
        #[serde(skip_serializing_if = "Option::is_none")]
        grad_norm: Option<f64>,
    },
    Validation(&'a EpochRecord),
    Epoch(&'a EpochRecord),
    Test {
        epoch: usize,
        step: u64,
        scores: &'a Scores,
        seconds: f64,
    },
    End {
        #[serde(flatten)]
        reason: &'a StopReason,
        epoch: usize,
        step: u64,
        best: Option<&'a Best>,
    },
    Error {
        message: &'a str,
        epoch: usize,
        step: u64,
    },
}

impl JsonlLog {
    /// Writes to `history.jsonl` in the run's folder.
    pub fn new() -> Self {
        Self { file: RunFile::new("history.jsonl"), log_every: 50 }
    }

    /// Writes to this file instead.
    pub fn to(path: impl Into<PathBuf>) -> Self {
        let default = Self::new();
        Self { file: default.file.at(path), ..default }
    }

    /// Writes a line every so many steps, for which it waits for the device; 0 means never; default 50.
    pub fn log_every(mut self, steps: u64) -> Self {
        self.log_every = steps;
        self
    }

    fn write(&mut self, run: &Run, line: &Line<'_>) -> Result<()> {
        let mut json = serde_json::to_vec(line)
            .map_err(|e| Error::Custom { callback: "JsonlLog".to_owned(), message: e.to_string() })?;
        json.push(b'\n');
        self.file.write(run, &json)
    }
}

impl Default for JsonlLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for JsonlLog {
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        let now = run.step;
        // A run at step 0 has measured nothing: what stands in the file is not its own.
        self.file.open(run, |line| now > 0 && step_of(line).is_some_and(|step| step <= now))
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        if self.log_every == 0 || !run.step.is_multiple_of(self.log_every) {
            return Ok(Flow::Continue);
        }
        let mut parts = serde_json::Map::new();
        for (name, value) in batch.read_parts()? {
            parts.insert(name.to_owned(), value.into());
        }
        let (loss, grad_norm) = (batch.read_loss()?, batch.read_grad_norm()?);
        let lr = &run.learning_rates;
        self.write(run, &Line::Step { epoch: run.epoch, step: run.step, loss, parts, lr, grad_norm })?;
        Ok(Flow::Continue)
    }

    fn on_resume(&mut self, run: &mut Run) -> Result<()> {
        let now = run.step;
        self.file.open(run, |line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let of_the_end = ["end", "test", "error"].iter().any(|end| line["type"] == **end);
            line["step"].as_u64().is_some_and(|step| step < now || (step == now && !of_the_end))
        })
    }

    fn on_validation_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        if run.history.is_inside(record) {
            self.write(run, &Line::Validation(record))?;
        }
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        self.write(run, &Line::Epoch(record))?;
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        self.write(run, &Line::End { reason, epoch: run.epoch, step: run.step, best: run.best.as_ref() })
    }

    fn on_test_end(&mut self, run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        let (scores, seconds) = (&evaluation.scores, evaluation.seconds);
        self.write(run, &Line::Test { epoch: run.epoch, step: run.step, scores, seconds })
    }

    fn on_error(&mut self, run: &mut Run, message: &str) {
        // The run's own error is the one to report; this file may be what it is about.
        let _ = self.write(run, &Line::Error { message, epoch: run.epoch, step: run.step });
    }
}

fn step_of(line: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(line).ok()?.get("step")?.as_u64()
}
