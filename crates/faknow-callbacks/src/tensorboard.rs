//! Curves for TensorBoard, written through `tensorboard-rs`.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use faknow_metrics::{EpochRecord, Evaluation, Scores};
use protobuf::Message;
use tensorboard_proto::event::Event;
use tensorboard_rs::record_writer::RecordWriter;
use tensorboard_rs::summary::scalar;

use crate::run_file::place;
use crate::{BatchEnd, Callback, Error, Flow, Result, Run, text};

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
///
/// A part keeps its full name `loss/<part>` where another value has the short one. What is undefined is left out.
/// TensorBoard keeps 32 bits of a number; `metrics.csv` has them all. All events of an epoch are in the file when
/// the epoch is told. A resumed run begins a further file in the same folder, as TensorBoard expects.
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

    fn write(&mut self, run: &Run, x: u64, values: &[(String, f64)]) -> Result<()> {
        match &mut self.events {
            Some(events) if events.dir == place(self.dir.as_deref(), run, "tensorboard")? => {
                events.scalars(x, values)
            }
            _ => self.open(run)?.scalars(x, values),
        }
    }
}

impl Default for TensorBoard {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for TensorBoard {
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        self.open(run).map(drop)
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        if self.log_every > 0 && run.step.is_multiple_of(self.log_every) {
            self.write(run, run.step, &[("Step/loss".to_owned(), batch.read_loss()?)])?;
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

    fn on_test_end(&mut self, run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        self.write(run, run.epoch as u64, &tagged("Test", &evaluation.scores))
    }
}

fn tagged(group: &str, scores: &Scores) -> Vec<(String, f64)> {
    let tag = |name: &str| match name.strip_prefix("loss/") {
        Some(part) if scores.get(part).is_none() => format!("{group}/{part}"),
        _ => format!("{group}/{name}"),
    };
    scores.iter().filter_map(|(name, score)| Some((tag(name), text::defined(score)?))).collect()
}

/// A file of events that TensorBoard reads.
///
/// `tensorboard_rs::summary_writer::SummaryWriter` would do, but it panics where a folder or file cannot be
/// written, hands its events to a thread of its own (so a flush does not wait for them), and names its file by
/// the second, so that a second writer of the same second truncates the file of the first. Its record format and
/// messages are used, without these.
struct EventFile {
    dir: PathBuf,
    path: PathBuf,
    records: RecordWriter<File>,
}

impl EventFile {
    fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        let seconds = wall_time() as u64;
        let mut number = 0;
        let (path, file) = loop {
            let path = dir.join(format!("events.out.tfevents.{seconds:010}.{}.{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(Error::io(path, e)),
            }
        };
        let mut events = Self { dir: dir.to_owned(), path, records: RecordWriter::new(file) };
        let mut head = Event::new();
        head.set_wall_time(wall_time());
        head.set_file_version("brain.Event:2".to_owned());
        events.write(&head)?;
        Ok(events)
    }

    fn scalars(&mut self, x: u64, values: &[(String, f64)]) -> Result<()> {
        for (tag, value) in values {
            let mut event = Event::new();
            event.set_wall_time(wall_time());
            event.set_step(x as i64);
            event.set_summary(scalar(tag, *value as f32));
            self.write(&event)?;
        }
        Ok(())
    }

    /// Goes straight to the system: nothing is left to flush.
    fn write(&mut self, event: &Event) -> Result<()> {
        let failed = |e| Error::io(&self.path, e);
        let bytes = event.write_to_bytes().map_err(|e| failed(std::io::Error::other(e)))?;
        self.records.write(&bytes).map_err(failed)
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
