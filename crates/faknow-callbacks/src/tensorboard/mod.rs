//! The callback that writes TensorBoard event files.

use std::path::PathBuf;

use faknow_metrics::{EpochRecord, Evaluation, Predictions, Scores};

mod confusion_image;
mod event_file;
mod hparams;
mod summaries;

pub use event_file::{Scalar, read_scalars};

use event_file::{EventFile, Point, retain_points, wall_time};
use hparams::EndStatus;
use summaries as board;

use crate::logs::run_file::resolve_path;
use crate::{BatchEnd, Callback, FitEnd, FitStart, Flow, HookResult, Phase, Result, Run, StopReason, format};

/// Maximum number of classes in precision-recall curves and confusion matrices.
const MAX_CLASSES: usize = 10;
/// Metrics in the chart of metrics, next to the run's monitor; a chart of all metrics would be unreadable.
const CHART_METRICS: [&str; 6] = ["accuracy", "precision", "recall", "f1", "f1_macro", "roc_auc"];

/// Writes TensorBoard event files into the directory `tensorboard` of the run directory.
///
/// | tag | value | x axis |
/// | --- | --- | --- |
/// | `Train/loss`, `Train/<part>` | training loss of the epoch and its parts | epoch, from 1 |
/// | `Train/learning_rate` (`…/0`, `…/1` with several parameter groups) | learning rate during the epoch | epoch |
/// | `Train/grad_norm` | mean over the epoch, if it is measured | epoch |
/// | `Validation/loss`, `Validation/<part>`, `Validation/<metric>` | | epoch |
/// | `Best/loss`, `Best/<part>`, `Best/<metric>` | validation of the best epoch, written at the end of the run | best epoch |
/// | `Test/loss`, `Test/<part>`, `Test/<metric>` | | epoch of the tested weights |
/// | `Step/loss` | loss of one batch, every [`log_every`](Self::log_every) steps | step |
/// | `Step/Validation/loss`, `Step/Validation/<part>`, `…/<metric>` | validations within an epoch | step |
/// | `Validation/pr_curve/<class>`, `Test/pr_curve/<class>` | precision and recall at 101 thresholds; with two classes only for the second | epoch |
/// | `Validation/confusion`, `Test/confusion` | the confusion matrix as an image | epoch |
/// | `Weights/<name>`, `Gradients/<name>` | histograms, if [enabled](Self::histograms_every); gradients of the last batch | epoch |
/// | `Settings` | all settings as a table | 0 |
///
/// The Custom Scalars dashboard has one chart each for losses, metrics, learning rates and gradient norms. The HParams
/// dashboard compares the settings of the runs below a directory. A part of the loss has its full name `loss/<part>` if
/// another value has the short one. Undefined values are omitted. TensorBoard stores 32-bit numbers; `metrics.csv` has
/// full precision. All events of an epoch are written when the epoch ends. A resumed run writes a new file in the same
/// directory, as TensorBoard expects, and points after the step at which it resumes are dropped, so that each point is
/// there once.
///
/// # Errors
/// The run has no directory and no other directory was set; the directory or file cannot be written.
pub struct TensorBoard {
    dir: Option<PathBuf>,
    log_every: u64,
    histograms_every: Option<usize>,
    /// The predictions of the last validation.
    valid_predictions: Option<Predictions>,
    events: Option<EventFile>,
}

impl TensorBoard {
    /// Creates a callback that writes to the directory `tensorboard` of the run directory.
    pub fn new() -> Self {
        Self { dir: None, log_every: 50, histograms_every: None, valid_predictions: None, events: None }
    }

    /// Creates a callback that writes to `dir`, which is created if missing.
    pub fn with_dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..Self::new() }
    }

    /// Sets the interval in steps at which the loss of a batch is written, which synchronizes with the device; 0 disables
    /// it. Default 50.
    pub fn log_every(mut self, steps: u64) -> Self {
        self.log_every = steps;
        self
    }

    /// Sets the interval in epochs, at least 1, at which histograms of all weights and of the gradients of the last batch are
    /// written, which reads all values. Default: never.
    pub fn histograms_every(mut self, epochs: usize) -> Self {
        self.histograms_every = Some(epochs);
        self
    }

    fn open(&mut self, run: &Run) -> Result<&mut EventFile> {
        let dir = resolve_path(self.dir.as_deref(), run, "tensorboard")?;
        Ok(self.events.insert(EventFile::create(&dir)?))
    }

    /// Returns the open event file of the run.
    fn events(&mut self, run: &Run) -> Result<&mut EventFile> {
        let dir = resolve_path(self.dir.as_deref(), run, "tensorboard")?;
        match self.events.take().filter(|events| events.dir() == dir) {
            Some(events) => Ok(self.events.insert(events)),
            None => self.open(run),
        }
    }

    fn write(&mut self, run: &Run, x: u64, values: &[(String, f64)]) -> Result<()> {
        self.events(run)?.scalars(x, values)
    }

    /// Writes precision-recall curves and the confusion matrix.
    fn write_predictions(&mut self, run: &Run, group: &str, predictions: &Predictions) -> Result<()> {
        let classes = class_names(run);
        let shown_classes =
            usize::from(predictions.n_classes() == 2)..predictions.n_classes().min(MAX_CLASSES);
        for class in shown_classes {
            let name = classes.get(class).cloned().unwrap_or_else(|| class.to_string());
            let curve = board::pr_curve(&format!("{group}/pr_curve/{name}"), predictions, class)?;
            curve.map_or(Ok(()), |curve| self.events(run)?.summary(run.epoch() as u64, curve))?;
        }
        if predictions.n_classes() <= MAX_CLASSES {
            let image = board::confusion(&format!("{group}/confusion"), predictions.confusion(), &classes)?;
            self.events(run)?.summary(run.epoch() as u64, image)?;
        }
        Ok(())
    }

    fn write_histograms(&mut self, run: &Run) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (name, weight) in run.vars.variables() {
            let gradient = weight.grad();
            let gradient = gradient.defined().then_some(("Gradients", &gradient));
            for (group, tensor) in [("Weights", &weight)].into_iter().chain(gradient) {
                let histogram = board::histogram(&format!("{group}/{name}"), tensor)?;
                histogram
                    .map_or(Ok(()), |histogram| self.events(run)?.summary(run.epoch() as u64, histogram))?;
            }
        }
        Ok(())
    }

    fn end(&mut self, run: &Run, status: EndStatus) -> Result<()> {
        self.events(run)?.summary(run.epoch() as u64, hparams::end(status, wall_time())?)
    }
}

impl Default for TensorBoard {
    fn default() -> Self {
        Self::new()
    }
}

impl Callback for TensorBoard {
    fn is_log(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() != FitStart::New {
            let dir = resolve_path(self.dir.as_deref(), run, "tensorboard")?;
            // The open file may be replaced.
            self.events = None;
            retain_points(&dir, |point| is_current(run, point))?;
        }
        if run.start() == FitStart::RolledBack {
            return Ok(self.open(run).map(drop)?);
        }
        let start = hparams::start(run.hyperparameters(), wall_time())?;
        let settings = board::text("Settings", board::settings_table(run.hyperparameters()));
        let monitor = run.monitor().map(|monitor| monitor.name.as_str());
        let names = run.monitors().iter().map(|monitor| monitor.name.as_str());
        let metrics: Vec<&str> = names
            .filter(|name| CHART_METRICS.contains(name) || Some(*name) == monitor)
            .filter(|name| *name != "loss")
            .collect();
        let events = self.open(run)?;
        events.summary(0, start)?;
        events.summary(0, settings)?;
        Ok(events.summary(0, board::layout(&metrics)?)?)
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        if self.log_every > 0 && run.step().is_multiple_of(self.log_every) {
            self.write(run, run.step(), &[("Step/loss".to_owned(), batch.read_loss()?)])?;
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
            self.write(run, run.epoch() as u64, &tagged("Test", &evaluation.scores))?;
            self.write_predictions(run, "Test", &evaluation.predictions)?;
            return Ok(Flow::Continue);
        }
        self.valid_predictions = Some(evaluation.predictions.clone());
        if let Some(record) = run.record().filter(|record| run.history().is_mid_epoch(record))
            && let Some(valid) = &record.valid
        {
            self.write(run, record.step, &tagged("Step/Validation", valid))?;
        }
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let mut values = tagged("Train", &record.train);
        match record.learning_rates.as_slice() {
            [lr] => values.push(("Train/learning_rate".to_owned(), *lr)),
            learning_rates => {
                let groups = learning_rates.iter().enumerate();
                values.extend(groups.map(|(group, lr)| (format!("Train/learning_rate/{group}"), *lr)));
            }
        }
        values.extend(record.grad_norm.map(|norm| ("Train/grad_norm".to_owned(), norm)));
        if let Some(valid) = &record.valid {
            values.extend(tagged("Validation", valid));
        }
        self.write(run, record.epoch as u64, &values)?;
        if let Some(predictions) = self.valid_predictions.take() {
            self.write_predictions(run, "Validation", &predictions)?;
        }
        if self.histograms_every.is_some_and(|every| record.epoch.is_multiple_of(every.max(1))) {
            self.write_histograms(run)?;
        }
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> HookResult {
        match result {
            // The fit was refused before it started.
            Err(_) if self.events.is_none() => {}
            Err(_) => self.end(run, EndStatus::Failed)?,
            Ok(StopReason::Interrupted) => {}
            Ok(_) => {
                let best = run.best().map(|best| best.epoch);
                let best = run.history().epochs.iter().find(|record| Some(record.epoch) == best);
                if let Some((epoch, valid)) = best.and_then(|best| Some((best.epoch, best.valid.as_ref()?))) {
                    self.write(run, epoch as u64, &tagged("Best", valid))?;
                }
                self.end(run, EndStatus::Success)?;
            }
        }
        Ok(())
    }
}

/// Returns whether a point was measured up to the current progress of the run.
fn is_current(run: &Run, point: &Point<'_>) -> bool {
    let n_epochs = run.history().epochs.len() as i64;
    match point.tag.split_once('/') {
        Some(("Step", _)) => point.x <= run.step() as i64,
        // A resumed run is tested again, and its best epoch may change.
        Some(("Test", _)) => point.x < n_epochs,
        Some(("Best", _)) => false,
        _ => point.x <= n_epochs,
    }
}

/// Returns the names of the classes from the run's settings, if they are there.
fn class_names(run: &Run) -> Vec<String> {
    let names = run.hyperparameters().get("data.classes").and_then(|names| names.as_array());
    names.into_iter().flatten().filter_map(|name| name.as_str()).map(str::to_owned).collect()
}

fn tagged(group: &str, scores: &Scores) -> Vec<(String, f64)> {
    let tag = |name: &str| match name.strip_prefix("loss/") {
        Some(part) if scores.get(part).is_none() => format!("{group}/{part}"),
        _ => format!("{group}/{name}"),
    };
    scores.iter().filter_map(|(name, score)| Some((tag(name), format::defined(score)?))).collect()
}
