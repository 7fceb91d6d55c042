//! Curves for TensorBoard, written through `tensorboard-rs`.

use std::path::PathBuf;

use faknow_metrics::{EpochRecord, Evaluation, Scores};

use crate::event_file::{EventFile, Scalar, retain_scalars, wall_time};
use crate::hparams::{self, Ended};
use crate::run_file::place;
use crate::{BatchEnd, Callback, Flow, Result, Run, StopReason, text};

/// Writes an event file into the folder `tensorboard` of the run's folder.
///
/// | tag | value | x axis |
/// | --- | --- | --- |
/// | `Train/loss`, `Train/<part>` | training loss of the epoch and its parts | epoch, from 1 |
/// | `Train/learning_rate` (`…/0`, `…/1` with several parameter groups) | as in force during the epoch | epoch |
/// | `Train/grad_norm` | mean over the epoch, if it is measured | epoch |
/// | `Validation/loss`, `Validation/<part>`, `Validation/<metric>` | | epoch |
/// | `Test/loss`, `Test/<part>`, `Test/<metric>` | | epoch whose weights were tested |
/// | `Step/loss` | loss of one batch, every [`log_every`](Self::log_every) steps | step |
/// | `Step/Validation/loss`, `Step/Validation/<part>`, `…/<metric>` | validations inside an epoch | step |
///
/// The run's settings are there too, for the page HParams, on which TensorBoard compares the runs below a folder.
/// A part keeps its full name `loss/<part>` where another value has the short one. What is undefined is left out.
/// TensorBoard keeps 32 bits of a number; `metrics.csv` has them all. All events of an epoch are in the file when
/// the epoch is told. A resumed run begins a further file in the same folder, as TensorBoard expects; points of later
/// steps than that where it goes on are dropped, so that curves have each point once.
///
/// # Errors
/// The run has no folder and no other was given; the folder or file cannot be written.
pub struct TensorBoard {
    dir: Option<PathBuf>,
    log_every: u64,
    events: Option<EventFile>,
}

impl TensorBoard {
    /// Writes to the folder `tensorboard` of the run's folder.
    pub fn new() -> Self {
        Self { dir: None, log_every: 50, events: None }
    }

    /// Writes to this folder instead; it is made if it is missing.
    pub fn to(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..Self::new() }
    }

    /// Writes the loss of a batch every so many steps, for which it waits for the device; 0 means never;
    /// default 50.
    pub fn log_every(mut self, steps: u64) -> Self {
        self.log_every = steps;
        self
    }

    fn open(&mut self, run: &Run) -> Result<&mut EventFile> {
        let dir = place(self.dir.as_deref(), run, "tensorboard")?;
        Ok(self.events.insert(EventFile::create(&dir)?))
    }

    /// The run's event file, open.
    fn events(&mut self, run: &Run) -> Result<&mut EventFile> {
        let dir = place(self.dir.as_deref(), run, "tensorboard")?;
        match self.events.take().filter(|events| events.dir() == dir) {
            Some(events) => Ok(self.events.insert(events)),
            None => self.open(run),
        }
    }

    fn write(&mut self, run: &Run, x: u64, values: &[(String, f64)]) -> Result<()> {
        self.events(run)?.scalars(x, values)
    }

    fn end(&mut self, run: &Run, ended: Ended) -> Result<()> {
        self.events(run)?.summary(run.epoch as u64, hparams::end(ended, wall_time())?)
    }
}

impl Default for TensorBoard {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for TensorBoard {
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        let start = hparams::start(&run.hyperparameters, wall_time())?;
        self.open(run)?.summary(0, start)
    }

    fn on_resume(&mut self, run: &mut Run) -> Result<()> {
        let dir = place(self.dir.as_deref(), run, "tensorboard")?;
        retain_scalars(&dir, |point| was_measured_before(run, point))?;
        // The file that was open may have been replaced.
        self.open(run).map(drop)
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        if self.log_every > 0 && run.step.is_multiple_of(self.log_every) {
            self.write(run, run.step, &[("Step/loss".to_owned(), batch.read_loss()?)])?;
        }
        Ok(Flow::Continue)
    }

    fn on_validation_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        if let Some(valid) = record.valid.as_ref().filter(|_| run.history.is_inside(record)) {
            self.write(run, record.step, &tagged("Step/Validation", valid))?;
        }
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        let mut values = tagged("Train", &record.train);
        match record.learning_rates.as_slice() {
            [rate] => values.push(("Train/learning_rate".to_owned(), *rate)),
            rates => {
                let grouped = rates.iter().enumerate();
                values.extend(grouped.map(|(group, rate)| (format!("Train/learning_rate/{group}"), *rate)));
            }
        }
        values.extend(record.grad_norm.map(|norm| ("Train/grad_norm".to_owned(), norm)));
        if let Some(valid) = &record.valid {
            values.extend(tagged("Validation", valid));
        }
        self.write(run, record.epoch as u64, &values)?;
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        if *reason != StopReason::Interrupted {
            self.end(run, Ended::Done)?;
        }
        Ok(())
    }

    fn on_error(&mut self, run: &mut Run, _message: &str) {
        // The run's own error is the one to report; this file may be what it is about.
        let _ = self.end(run, Ended::Failed);
    }

    fn on_test_end(&mut self, run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        self.write(run, run.epoch as u64, &tagged("Test", &evaluation.scores))
    }
}

/// Whether a point belongs to the part of the run that lies behind it.
fn was_measured_before(run: &Run, point: &Scalar) -> bool {
    let n_epochs = run.history.epochs.len() as i64;
    match point.tag.split_once('/') {
        Some(("Step", _)) => point.x <= run.step as i64,
        // A run that goes on is tested anew.
        Some(("Test", _)) => point.x < n_epochs,
        _ => point.x <= n_epochs,
    }
}

fn tagged(group: &str, scores: &Scores) -> Vec<(String, f64)> {
    let tag = |name: &str| match name.strip_prefix("loss/") {
        Some(part) if scores.get(part).is_none() => format!("{group}/{part}"),
        _ => format!("{group}/{name}"),
    };
    scores.iter().filter_map(|(name, score)| Some((tag(name), text::defined(score)?))).collect()
}
