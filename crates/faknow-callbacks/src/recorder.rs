//! Records which hooks were called, in which order, and where the run stood.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use faknow_metrics::{EpochRecord, Evaluation};

use crate::{
    BatchEnd, Callback, FitEnd, FitStart, Flow, HookResult, PassProgress, Phase, Run, SavedCheckpoint,
};

/// Records every hook that is called, for tests of loops and of what hooks into them.
///
/// Clones are handles to one record: one goes to the trainer, the other reads. The record is in memory alone, and is
/// no part of a checkpoint.
///
/// ```
/// use faknow_callbacks::{Callbacks, Recorder, RunOwner};
///
/// let recorder = Recorder::new();
/// let mut callbacks = Callbacks::default();
/// callbacks.push(recorder.clone());
/// let mut run = RunOwner::new("textcnn", tch::nn::VarStore::new(tch::Device::Cpu));
/// (run.progress_mut().n_batches, run.progress_mut().max_epochs) = (7, 20);
/// callbacks.on_fit_start(&mut run)?;
/// run.progress_mut().epoch = 1;
/// callbacks.on_epoch_start(&mut run)?;
/// assert_eq!(
///     recorder.text(),
///     "on_fit_start    epoch 0, batch 0, step 0: new, 20 epochs of 7 batches\n\
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
    /// Updates of the weights since the run started.
    pub step: u64,
    /// What the hook received besides the run, in words: samples of an update, phase and batches of an evaluation,
    /// name of a checkpoint, reason of the end, the error. Empty if nothing.
    pub detail: String,
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

    /// All events so far, one per line, with aligned columns.
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

    fn note(&self, hook: &'static str, run: &Run, detail: impl Into<String>) -> HookResult {
        let (epoch, batch, step) = (run.epoch(), run.batch(), run.step());
        let event = Event { hook, epoch, batch, step, detail: detail.into() };
        self.with(|events| events.push(event));
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Event>) -> T) -> T {
        // An event is pushed completely or not at all: a panic elsewhere cannot have spoiled it.
        work(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Event {
    fn place(&self) -> String {
        let Self { epoch, batch, step, detail, .. } = self;
        let colon = if detail.is_empty() { "" } else { ": " };
        format!("epoch {epoch}, batch {batch}, step {step}{colon}{detail}")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.hook, self.place())
    }
}

impl Callback for Recorder {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        let start = match run.start() {
            FitStart::New => "new",
            FitStart::Resumed => "resumed",
            FitStart::RolledBack => "rolled back",
        };
        let detail = format!("{start}, {} epochs of {} batches", run.max_epochs(), run.n_batches());
        self.note("on_fit_start", run, detail)
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> HookResult {
        self.note("on_epoch_start", run, "")
    }

    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        self.note("on_batch_start", run, "")
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        self.note("on_batch_end", run, format!("{} samples", batch.n_samples))?;
        Ok(Flow::Continue)
    }

    fn on_evaluation_start(&mut self, run: &mut Run, phase: Phase) -> HookResult {
        self.note("on_evaluation_start", run, phase_name(phase))
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, phase: Phase, progress: PassProgress) -> HookResult {
        let PassProgress { batch, n_batches, .. } = progress;
        self.note("on_evaluation_batch_end", run, format!("{}, {batch} of {n_batches}", phase_name(phase)))
    }

    fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &Evaluation,
    ) -> HookResult<Flow> {
        let detail = match phase {
            Phase::Test => format!("test, {} samples", evaluation.predictions.n_samples()),
            phase => format!("{}, {}", phase_name(phase), best(run)),
        };
        self.note("on_evaluation_end", run, detail)?;
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> HookResult<Flow> {
        self.note("on_epoch_end", run, best(run))?;
        Ok(Flow::Continue)
    }

    fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> HookResult {
        self.note("on_checkpoint", run, &*checkpoint.name)
    }

    fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> HookResult {
        match result {
            Ok(reason) => self.note("on_fit_end", run, reason.to_string()),
            Err(error) => self.note("on_fit_end", run, format!("error: {error}")),
        }
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Train => "training",
        Phase::Valid => "validation",
        Phase::Test => "test",
    }
}

/// What is best so far.
fn best(run: &Run) -> String {
    match run.best() {
        Some(best) => format!("best is epoch {}, step {}", best.epoch, best.step),
        None => "none is best".to_owned(),
    }
}
