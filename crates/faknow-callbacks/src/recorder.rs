//! Records which hooks were called, in which order, and where the run stood.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use faknow_metrics::{EpochRecord, Evaluation};

use crate::{BatchEnd, Callback, Flow, Phase, Result, Run, SavedCheckpoint, StopReason};

/// Records every hook that is called, for tests of loops and of what hooks into them.
///
/// Clones are handles to one record: one goes to the trainer, the other reads. The record is in memory alone, and is
/// no part of a checkpoint.
///
/// ```
/// use faknow_callbacks::{Callback, Recorder, Run};
///
/// let recorder = Recorder::new();
/// let mut callback = recorder.clone();
/// let mut run = Run::new("textcnn", tch::nn::VarStore::new(tch::Device::Cpu));
/// (run.n_batches, run.max_epochs) = (7, 20);
/// callback.on_fit_start(&mut run)?;
/// run.epoch = 1;
/// callback.on_epoch_start(&mut run)?;
/// assert_eq!(
///     recorder.text(),
///     "on_fit_start    epoch 0, batch 0, step 0: 20 epochs of 7 batches\n\
///      on_epoch_start  epoch 1, batch 0, step 0"
/// );
/// assert_eq!(recorder.hooks(), ["on_fit_start", "on_epoch_start"]);
/// # Ok::<(), faknow_callbacks::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
}

/// A hook that was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The hook's name: `on_batch_end`.
    pub hook: &'static str,
    /// The run's epoch at that time, from 1; 0 before the first.
    pub epoch: usize,
    /// Batches done in the epoch.
    pub batch: usize,
    /// Updates of the weights since the run began.
    pub step: u64,
    /// What the hook was told beside the run, in words: samples of an update, phase and batches of an evaluation,
    /// name of a checkpoint, reason of the end, the error. Empty if nothing.
    pub told: String,
}

impl Recorder {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// All events so far, in order.
    pub fn events(&self) -> Vec<Event> {
        self.with(|events| events.clone())
    }

    /// The names of the hooks that were called, in order.
    pub fn hooks(&self) -> Vec<&'static str> {
        self.with(|events| events.iter().map(|event| event.hook).collect())
    }

    /// All events so far, one a line, with the places one below the other.
    pub fn text(&self) -> String {
        self.with(|events| {
            let width = events.iter().map(|event| event.hook.len()).max().unwrap_or(0);
            let lines = events.iter().map(|event| {
                let hook = event.hook;
                format!("{hook:width$}  {}", event.place())
            });
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    /// Forgets all events.
    pub fn clear(&self) {
        self.with(Vec::clear);
    }

    fn note(&self, hook: &'static str, run: &Run, told: impl Into<String>) {
        let (epoch, batch, step) = (run.epoch, run.batch, run.step);
        let event = Event { hook, epoch, batch, step, told: told.into() };
        self.with(|events| events.push(event));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Event>) -> T) -> T {
        // An event is pushed whole or not at all: there is nothing that a panic elsewhere could have spoilt.
        work(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Event {
    fn place(&self) -> String {
        let Self { epoch, batch, step, told, .. } = self;
        let colon = if told.is_empty() { "" } else { ": " };
        format!("epoch {epoch}, batch {batch}, step {step}{colon}{told}")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.hook, self.place())
    }
}

impl Callback for Recorder {
    fn on_fit_start(&mut self, run: &mut Run) -> Result<()> {
        self.note("on_fit_start", run, format!("{} epochs of {} batches", run.max_epochs, run.n_batches));
        Ok(())
    }

    fn on_resume(&mut self, run: &mut Run) -> Result<()> {
        self.note("on_resume", run, "");
        Ok(())
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        self.note("on_epoch_start", run, "");
        Ok(())
    }

    fn on_batch_start(&mut self, run: &mut Run) -> Result<()> {
        self.note("on_batch_start", run, "");
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        self.note("on_batch_end", run, format!("{} samples", batch.n_samples));
        Ok(Flow::Continue)
    }

    fn on_validation_start(&mut self, run: &mut Run) -> Result<()> {
        self.note("on_validation_start", run, "");
        Ok(())
    }

    fn on_evaluation_batch_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        done: usize,
        n_batches: usize,
    ) -> Result<()> {
        let phase = match phase {
            Phase::Train => "training",
            Phase::Valid => "validation",
            Phase::Test => "test",
        };
        self.note("on_evaluation_batch_end", run, format!("{phase}, {done} of {n_batches}"));
        Ok(())
    }

    fn on_validation_end(&mut self, run: &mut Run, _: &EpochRecord) -> Result<Flow> {
        self.note("on_validation_end", run, best(run));
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> Result<Flow> {
        self.note("on_epoch_end", run, best(run));
        Ok(Flow::Continue)
    }

    fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> Result<()> {
        self.note("on_checkpoint", run, &*checkpoint.name);
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        self.note("on_fit_end", run, reason.to_string());
        Ok(())
    }

    fn on_test_start(&mut self, run: &mut Run) -> Result<()> {
        self.note("on_test_start", run, "");
        Ok(())
    }

    fn on_test_end(&mut self, run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        self.note("on_test_end", run, format!("{} samples", evaluation.predictions.n_samples()));
        Ok(())
    }

    fn on_error(&mut self, run: &mut Run, message: &str) {
        self.note("on_error", run, message);
    }
}

/// What is best so far.
fn best(run: &Run) -> String {
    match &run.best {
        Some(best) => format!("best is epoch {}, step {}", best.epoch, best.step),
        None => "none is best".to_owned(),
    }
}
