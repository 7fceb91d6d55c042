//! The history of a run as JSON lines.

use std::fs;
use std::path::PathBuf;

use faknow_metrics::{EpochRecord, Evaluation, Scores};
use serde::Serialize;
use serde_json::Value;

use super::run_file::RunFile;
use crate::{BatchEnd, Best, Callback, Error, FitEnd, FitStart, Flow, HookResult, Phase, Run, StopReason};

/// Writes `history.jsonl` into the run directory: one JSON object per line, whose kind is in `type`.
///
/// | `type` | when | other keys |
/// | --- | --- | --- |
/// | `step` | every [`log_every`](Self::log_every) steps | `epoch`, `step`, `loss`, `parts`, `lr`, `grad_norm` of this batch |
/// | `validation` | after a validation within an epoch | those of [`EpochRecord`], for the epoch so far |
/// | `epoch` | after each epoch | those of [`EpochRecord`] |
/// | `test` | after a test | `epoch`, `step`, `scores`, `seconds` |
/// | `end` | at the end of the run | `reason` and its details, `epoch`, `step`, `best` |
/// | `error` | when the run fails | `message`, `epoch`, `step` |
///
/// `parts` and `grad_norm` are absent if not available; undefined and non-finite numbers are null. Each line is written
/// immediately. A resumed run continues at the step of its weights: lines of later steps and of the previous end are
/// dropped, and lines of epochs and validations that are missing or corrupted are written again, with a warning.
///
/// # Errors
/// The run has no directory and no path was given; the file cannot be written.
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
        parts: serde_json::Map<String, Value>,
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
    /// Creates a callback that writes `history.jsonl` into the run directory.
    pub fn new() -> Self {
        Self { file: RunFile::new("history.jsonl"), log_every: 50 }
    }

    /// Creates a callback that writes to `path`.
    pub fn with_path(path: impl Into<PathBuf>) -> Self {
        let default = Self::new();
        Self { file: default.file.with_path(path), ..default }
    }

    /// Sets the interval of `step` lines in steps, each of which synchronizes with the device; 0 disables them. Default 50.
    pub fn log_every(mut self, steps: u64) -> Self {
        self.log_every = steps;
        self
    }

    /// Compares the lines of epochs and validations with the history of a resumed run, and restores them if they differ.
    fn restore_records(&mut self, run: &Run) -> HookResult {
        let Some(path) = self.file.handle().map(|(path, _)| path.to_owned()) else { return Ok(()) };
        let text = fs::read_to_string(&path).map_err(|error| Error::io(&path, error))?;
        let mut records = Vec::new();
        for (record, is_mid_epoch) in run.history().in_order() {
            let line = if is_mid_epoch { Line::Validation(record) } else { Line::Epoch(record) };
            let position = (record.epoch as u64, record.step, 1 + u8::from(!is_mid_epoch));
            records.push((position, serde_json::to_string(&line)?));
        }
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            match value["type"].as_str() {
                Some("epoch" | "validation") => found.push(line),
                _ => {
                    let [epoch, step] = ["epoch", "step"].map(|key| value[key].as_u64().unwrap_or(0));
                    others.push(((epoch, step, 0), line.to_owned()));
                }
            }
        }
        if found.iter().eq(records.iter().map(|(_, line)| line)) {
            return Ok(());
        }
        tracing::warn!(
            "{}: {} of {} records of epochs and validations are missing or corrupted; writing them again",
            path.display(),
            records.iter().filter(|(_, line)| !found.contains(&line.as_str())).count(),
            records.len()
        );
        others.append(&mut records);
        others.sort_by_key(|(position, _)| *position);
        let lines: String = others.into_iter().map(|(_, line)| line + "\n").collect();
        Ok(self.file.replace(lines.as_bytes())?)
    }

    fn write(&mut self, run: &Run, line: &Line<'_>) -> HookResult {
        let mut json = serde_json::to_vec(line)?;
        json.push(b'\n');
        Ok(self.file.write(run, &json)?)
    }
}

impl Default for JsonlLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for JsonlLog {
    fn is_log(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        let (now, start) = (run.step(), run.start());
        // At step 0 a new run has no results yet: all lines are those of another run.
        self.file.open(run, |line| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            let Some(step) = line["step"].as_u64() else { return false };
            let is_end = ["end", "test", "error"].iter().any(|end| line["type"] == **end);
            // A resumed run writes the lines of its end again.
            let is_repeated = start != FitStart::New && is_end;
            if start == FitStart::New && now == 0 {
                false
            } else {
                step < now || (step == now && !is_repeated)
            }
        })?;
        if start == FitStart::Resumed { self.restore_records(run) } else { Ok(()) }
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        if self.log_every == 0 || !run.step().is_multiple_of(self.log_every) {
            return Ok(Flow::Continue);
        }
        let mut parts = serde_json::Map::new();
        for (name, value) in batch.read_parts()? {
            parts.insert(name.to_owned(), value.into());
        }
        let (loss, grad_norm) = (batch.read_loss()?, batch.read_grad_norm()?);
        let lr = &run.learning_rates;
        self.write(run, &Line::Step { epoch: run.epoch(), step: run.step(), loss, parts, lr, grad_norm })?;
        Ok(Flow::Continue)
    }

    fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &Evaluation,
    ) -> HookResult<Flow> {
        match (phase, run.record()) {
            (Phase::Test, _) => {
                let Evaluation { scores, seconds, .. } = evaluation;
                self.write(
                    run,
                    &Line::Test { epoch: run.epoch(), step: run.step(), scores, seconds: *seconds },
                )?;
            }
            (_, Some(record)) if run.history().is_mid_epoch(record) => {
                self.write(run, &Line::Validation(record))?
            }
            _ => {}
        }
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        self.write(run, &Line::Epoch(record))?;
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> HookResult {
        let (epoch, step, best) = (run.epoch(), run.step(), run.best());
        match result {
            Ok(reason) => self.write(run, &Line::End { reason, epoch, step, best }),
            Err(_) if self.file.is_of_earlier_fit(run) => Ok(()),
            Err(error) => self.write(run, &Line::Error { message: &error.to_string(), epoch, step }),
        }
    }
}
