//! Shows how far a run is: a bar on a terminal, plain lines elsewhere.

use std::io::Write;
use std::time::{Duration, Instant};

use faknow_metrics::{EpochRecord, Evaluation};
use indicatif::{ProgressBar, ProgressStyle};
use tch::{Kind, Tensor};

use crate::run::read;
use crate::{BatchEnd, Callback, Error, Flow, Phase, ProgressWriter, Result, Run, StopReason, text};

/// The bar and the loss are renewed this often: reading the loss waits for the device.
const REFRESH: Duration = Duration::from_millis(250);

/// Shows a run's progress.
///
/// On a terminal there is one bar for the batches of the epoch, the validation or the test, with the mean loss of
/// the epoch so far, the samples per second and the time that the pass still takes. Each epoch leaves one line
/// above it with all results. Elsewhere there are these lines, and in a long epoch one every 30 seconds.
///
/// ```
/// use faknow_callbacks::{Callbacks, Progress};
///
/// let mut callbacks = Callbacks::default();
/// callbacks.push(Progress::auto());
/// ```
#[derive(Debug)]
pub struct Progress {
    writer: ProgressWriter,
    line_every: Duration,
    pass: Option<Pass>,
}

impl Progress {
    /// On standard error: a bar if it is a terminal, else plain lines.
    pub fn auto() -> Self {
        Self::on(ProgressWriter::stderr())
    }

    /// Plain lines to this writer.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self::on(ProgressWriter::plain(out))
    }

    /// Shows nothing, and costs nothing.
    pub fn hidden() -> Self {
        Self::on(ProgressWriter::hidden())
    }

    /// On a writer that log lines go through too, see [`init_console`](crate::init_console).
    pub fn on(writer: ProgressWriter) -> Self {
        Self { writer, line_every: Duration::from_secs(30), pass: None }
    }

    /// Without a bar, writes a line this often inside an epoch; default 30 seconds.
    pub fn line_every(mut self, interval: Duration) -> Self {
        self.line_every = interval;
        self
    }

    /// The writer, for log lines.
    pub fn writer(&self) -> ProgressWriter {
        self.writer.clone()
    }

    /// The pass in which the run is; a new one begins when the phase changes.
    fn pass(&mut self, run: &Run, phase: Phase, done: usize, n_batches: usize) -> Result<&mut Pass> {
        if self.pass.as_ref().is_none_or(|pass| pass.phase != phase) {
            self.end_pass();
        }
        match &mut self.pass {
            Some(pass) => Ok(pass),
            none => Ok(none.insert(Pass::begin(&self.writer, run, phase, done, n_batches)?)),
        }
    }

    fn advance(&mut self, done: usize) -> Result<()> {
        let Some(pass) = &mut self.pass else { return Ok(()) };
        let now = Instant::now();
        let interval = if self.writer.has_bars() { REFRESH } else { self.line_every };
        if now.duration_since(pass.shown) < interval {
            return Ok(());
        }
        pass.shown = now;
        let state = pass.state(done, now)?;
        if self.writer.has_bars() {
            pass.bar.set_position(done as u64);
            pass.bar.set_message(state);
        } else {
            self.writer.line(&format!("{}  batch {done}/{}  {state}", pass.title, pass.n_batches));
        }
        Ok(())
    }

    fn end_pass(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.writer.remove(&pass.bar);
        }
    }
}

impl Callback for Progress {
    fn on_fit_start(&mut self, _run: &mut Run) -> Result<()> {
        self.end_pass();
        Ok(())
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> Result<()> {
        self.end_pass();
        if !self.writer.is_hidden() {
            self.pass(run, Phase::Train, run.batch, run.n_batches)?;
        }
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> Result<Flow> {
        if !self.writer.is_hidden() {
            self.pass(run, Phase::Train, run.batch, run.n_batches)?.add(batch)?;
            self.advance(run.batch)?;
        }
        Ok(Flow::Continue)
    }

    fn on_evaluation_batch_end(
        &mut self,
        run: &mut Run,
        phase: Phase,
        done: usize,
        n_batches: usize,
    ) -> Result<()> {
        if !self.writer.is_hidden() {
            self.pass(run, phase, done, n_batches)?;
            self.advance(done)?;
            if done >= n_batches {
                self.end_pass();
            }
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> Result<Flow> {
        self.end_pass();
        let mark = match (text::is_best(run, record), self.writer.has_colors()) {
            (false, _) => "",
            (true, false) => "  best",
            (true, true) => "  \u{1b}[32mbest\u{1b}[0m",
        };
        self.writer.line(&format!("{}{mark}", text::epoch_line(run, record)));
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, reason: &StopReason) -> Result<()> {
        self.end_pass();
        self.writer.line(&text::end_line(run, reason));
        Ok(())
    }

    fn on_test_end(&mut self, _run: &mut Run, evaluation: &Evaluation) -> Result<()> {
        self.end_pass();
        self.writer.line(&text::test_line(evaluation));
        Ok(())
    }

    fn on_error(&mut self, _run: &mut Run, _message: &str) {
        // The message is for the caller to show; here the terminal is only left clean.
        self.end_pass();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end_pass();
    }
}

/// One pass over data.
#[derive(Debug)]
struct Pass {
    phase: Phase,
    title: String,
    n_batches: usize,
    bar: ProgressBar,
    began: Instant,
    began_at: usize,
    shown: Instant,
    n_samples: u64,
    /// Sum over samples, on the device.
    loss: Option<Tensor>,
}

impl Pass {
    /// A pass of which `began_at` batches are done before its time is taken.
    fn begin(
        writer: &ProgressWriter,
        run: &Run,
        phase: Phase,
        began_at: usize,
        n_batches: usize,
    ) -> Result<Self> {
        let title = match phase {
            Phase::Train => format!("epoch {}/{}", run.epoch, run.max_epochs),
            Phase::Valid => format!("valid {}/{}", run.epoch, run.max_epochs),
            Phase::Test => "test".to_owned(),
        };
        let bar = writer.add(ProgressBar::new(n_batches as u64));
        bar.set_style(style(writer.has_colors())?);
        bar.set_prefix(title.clone());
        bar.set_position(began_at as u64);
        let now = Instant::now();
        Ok(Self { phase, title, n_batches, bar, began: now, began_at, shown: now, n_samples: 0, loss: None })
    }

    fn add(&mut self, batch: &BatchEnd) -> Result<()> {
        let failed = |source| Error::Tensor { what: "loss".to_owned(), source };
        let sum = batch.loss.f_to_kind(Kind::Float).and_then(|loss| loss.f_mul_scalar(batch.n_samples as f64));
        let sum = match &self.loss {
            Some(before) => sum.and_then(|sum| sum.f_add(before)),
            None => sum,
        };
        self.loss = Some(sum.map_err(failed)?);
        self.n_samples += batch.n_samples as u64;
        Ok(())
    }

    /// Loss, speed and time left.
    fn state(&self, done: usize, now: Instant) -> Result<String> {
        let seconds = now.duration_since(self.began).as_secs_f64();
        let mut parts = Vec::new();
        if let Some(sum) = &self.loss {
            parts.push(format!("loss={}", text::number(read("loss", sum)? / self.n_samples as f64)));
        }
        parts.extend(text::speed(self.n_samples, seconds));
        let done_here = done.saturating_sub(self.began_at);
        if done_here > 0 {
            let left = seconds / done_here as f64 * self.n_batches.saturating_sub(done) as f64;
            parts.push(format!("{} left", text::format_duration(left)));
        }
        Ok(parts.join("  "))
    }
}

fn style(colors: bool) -> Result<ProgressStyle> {
    let bar = if colors { "{bar:24.cyan/blue}" } else { "{bar:24}" };
    ProgressStyle::with_template(&format!("{{prefix}} [{bar}] {{pos}}/{{len}}  {{wide_msg}}"))
        .map(|style| style.progress_chars("=> "))
        .map_err(|e| Error::Custom { callback: "Progress".to_owned(), message: e.to_string() })
}
