//! A callback that records the calls of hooks, with the progress of the run.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use faknow_metrics::{EpochRecord, Evaluation};

use crate::{
    BatchEnd, Callback, FitEnd, FitStart, Flow, HookResult, PassProgress, Phase, Run, SavedCheckpoint,
};

/// Records every call of a hook, for tests of training loops and callbacks.
///
/// Clones share the same events: pass one to the trainer and read the events from the other. The events are in memory
/// only and not part of checkpoints.
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

/// A call of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The hook's name: `on_batch_end`.
    pub hook: &'static str,
    /// The run's epoch, from 1; 0 before the first.
    pub epoch: usize,
    /// Number of completed batches of the epoch.
    pub batch: usize,
    /// Optimizer steps since the start of the run.
    pub step: u64,
    /// Description of the other arguments: samples of an update, phase and batches of an evaluation, name of a checkpoint,
    /// stop reason, error. Empty without other arguments.
    pub detail: String,
}

impl Recorder {
    /// Creates a recorder without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns all events so far, in order.
    pub fn events(&self) -> Vec<Event> {
        self.with_events(|events| events.clone())
    }

    /// Returns the names of the called hooks, in order.
    pub fn hooks(&self) -> Vec<&'static str> {
        self.with_events(|events| events.iter().map(|event| event.hook).collect())
    }

    /// Formats all events so far, one per line, with aligned columns.
    pub fn text(&self) -> String {
        self.with_events(|events| {
            let width = events.iter().map(|event| event.hook.len()).max().unwrap_or(0);
            let lines = events.iter().map(|event| {
                let hook = event.hook;
                format!("{hook:width$}  {}", event.location())
            });
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    /// Removes all events.
    pub fn clear(&self) {
        self.with_events(Vec::clear);
    }

    fn record(&self, hook: &'static str, run: &Run, detail: impl Into<String>) -> HookResult {
        let (epoch, batch, step) = (run.epoch(), run.batch(), run.step());
        let event = Event { hook, epoch, batch, step, detail: detail.into() };
        self.with_events(|events| events.push(event));
        Ok(())
    }

    fn with_events<T>(&self, f: impl FnOnce(&mut Vec<Event>) -> T) -> T {
        // Ignoring poison is safe: an event is pushed completely or not at all.
        f(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Event {
    fn location(&self) -> String {
        let Self { epoch, batch, step, detail, .. } = self;
        let colon = if detail.is_empty() { "" } else { ": " };
        format!("epoch {epoch}, batch {batch}, step {step}{colon}{detail}")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.hook, self.location())
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
        self.record("on_fit_start", run, detail)
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> HookResult {
        self.record("on_epoch_start", run, "")
    }

    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        self.record("on_batch_start", run, "")
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        self.record("on_batch_end", run, format!("{} samples", batch.n_samples))?;
        Ok(Flow::Continue)
    }

    fn on_evaluation_start(&mut self, run: &mut Run, phase: Phase) -> HookResult {
        self.record("on_evaluation_start", run, phase_name(phase))
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, phase: Phase, progress: PassProgress) -> HookResult {
        let PassProgress { batch, n_batches, .. } = progress;
        self.record("on_evaluation_batch_end", run, format!("{}, {batch} of {n_batches}", phase_name(phase)))
    }

    fn on_evaluation_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        evaluation: &Evaluation,
    ) -> HookResult<Flow> {
        let detail = match phase {
            Phase::Test => format!("test, {} samples", evaluation.predictions.n_samples()),
            phase => format!("{}, {}", phase_name(phase), describe_best(run)),
        };
        self.record("on_evaluation_end", run, detail)?;
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> HookResult<Flow> {
        self.record("on_epoch_end", run, describe_best(run))?;
        Ok(Flow::Continue)
    }

    fn on_checkpoint(&mut self, run: &mut Run, checkpoint: &SavedCheckpoint) -> HookResult {
        self.record("on_checkpoint", run, &*checkpoint.name)
    }

    fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> HookResult {
        match result {
            Ok(reason) => self.record("on_fit_end", run, reason.to_string()),
            Err(error) => self.record("on_fit_end", run, format!("error: {error}")),
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

/// Describes the best epoch so far.
fn describe_best(run: &Run) -> String {
    match run.best() {
        Some(best) => format!("best is epoch {}, step {}", best.epoch, best.step),
        None => "no best epoch".to_owned(),
    }
}
