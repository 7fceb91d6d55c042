//! The callback that shows the progress of a run: a bar on a terminal, plain lines elsewhere.

use std::io::Write;
use std::time::{Duration, Instant};

use faknow_metrics::{EpochRecord, Evaluation};

use super::pass::Pass;
use crate::{
    BatchEnd, Callback, FitEnd, Flow, HookResult, PassProgress, Phase, ProgressWriter, Result, Run, format,
};

/// Interval between updates of the bar and the loss; reading the loss synchronizes with the device.
const REFRESH: Duration = Duration::from_millis(250);

/// Shows the progress of a run.
///
/// On a terminal, a bar shows the batches of the epoch, validation or test, the mean loss of the epoch so far, the samples
/// per second and the remaining time. A line with all results of each epoch is printed above the bar. Elsewhere, only these
/// lines are printed, and in a long epoch one progress line every 30 seconds.
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
    /// Creates a callback that writes to standard error: a bar if it is a terminal, else plain lines.
    pub fn auto() -> Self {
        Self::with_writer(ProgressWriter::stderr())
    }

    /// Creates a callback that writes plain lines to `out`.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self::with_writer(ProgressWriter::plain(out))
    }

    /// Creates a callback that shows nothing and has no overhead.
    pub fn hidden() -> Self {
        Self::with_writer(ProgressWriter::hidden())
    }

    /// Creates a callback that shows progress on a writer shared with log lines, see [`init_console`](crate::init_console).
    pub fn with_writer(writer: ProgressWriter) -> Self {
        Self { writer, line_every: Duration::from_secs(30), pass: None }
    }

    /// Sets the interval of progress lines within an epoch when there is no bar. Default: 30 seconds.
    pub fn line_every(mut self, interval: Duration) -> Self {
        self.line_every = interval;
        self
    }

    /// Returns the writer, for log lines.
    pub fn writer(&self) -> ProgressWriter {
        self.writer.clone()
    }

    /// Calls `show` unless progress is hidden.
    fn show(&mut self, show: impl FnOnce(&mut Self) -> Result<()>) -> HookResult {
        if self.writer.is_hidden() {
            return Ok(());
        }
        Ok(show(self)?)
    }

    /// Returns the current pass; starts a new one when the phase changes.
    fn pass(&mut self, run: &Run, phase: Phase, done: usize, n_batches: usize) -> Result<&mut Pass> {
        if self.pass.as_ref().is_none_or(|pass| pass.phase != phase) {
            self.end_pass();
        }
        match &mut self.pass {
            Some(pass) => Ok(pass),
            none => Ok(none.insert(Pass::start(&self.writer, run, phase, done, n_batches)?)),
        }
    }

    fn advance(&mut self, done: usize) -> Result<()> {
        let Some(pass) = &mut self.pass else { return Ok(()) };
        let now = Instant::now();
        let interval = if self.writer.has_bars() { REFRESH } else { self.line_every };
        if now.duration_since(pass.last_update) < interval {
            return Ok(());
        }
        pass.last_update = now;
        let message = pass.message(done, now)?;
        if self.writer.has_bars() {
            pass.bar.set_position(done as u64);
            pass.bar.set_message(message);
        } else {
            self.writer.line(&format!("{}  batch {done}/{}  {message}", pass.title, pass.n_batches));
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
    fn is_log(&self) -> bool {
        true
    }

    fn is_display(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, _: &mut Run) -> HookResult {
        self.end_pass();
        Ok(())
    }

    fn on_epoch_start(&mut self, run: &mut Run) -> HookResult {
        self.end_pass();
        self.show(|progress| progress.pass(run, Phase::Train, run.batch(), run.n_batches()).map(drop))
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        self.show(|progress| {
            progress.pass(run, Phase::Train, run.batch(), run.n_batches())?.add(batch)?;
            progress.advance(run.batch())
        })?;
        Ok(Flow::Continue)
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, phase: Phase, progress: PassProgress) -> HookResult {
        let PassProgress { batch, n_batches, .. } = progress;
        self.show(|progress| {
            progress.pass(run, phase, batch, n_batches)?;
            progress.advance(batch)?;
            if batch >= n_batches {
                progress.end_pass();
            }
            Ok(())
        })
    }

    fn on_evaluation_end(&mut self, _: &mut Run, phase: Phase, evaluation: &Evaluation) -> HookResult<Flow> {
        if phase == Phase::Test {
            self.end_pass();
            self.writer.line(&format::test_line(evaluation));
        }
        Ok(Flow::Continue)
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        self.end_pass();
        let mark = match (format::is_best(run, record), self.writer.has_colors()) {
            (false, _) => "",
            (true, false) => "  best",
            (true, true) => "  \u{1b}[32mbest\u{1b}[0m",
        };
        self.writer.line(&format!("{}{mark}", format::epoch_line(run, record)));
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, run: &mut Run, result: FitEnd<'_>) -> HookResult {
        self.end_pass();
        // The caller reports an error; here only the bar is removed.
        if let Ok(reason) = result {
            self.writer.line(&format::end_line(run, reason));
        }
        Ok(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end_pass();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use faknow_metrics::{Predictions, Scores};
    use indicatif::{InMemoryTerm, ProgressDrawTarget, TermLike};
    use tch::nn::VarStore;
    use tch::{Device, Tensor};

    use super::*;
    use crate::{Best, RunOwner, StopReason};

    /// A writer of lines to the terminal on which the bar is drawn.
    struct Lines(InMemoryTerm);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write_str(&String::from_utf8_lossy(bytes).replace('\n', "\r\n"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Clone, Default)]
    struct Plain(Arc<Mutex<Vec<u8>>>);

    impl Write for Plain {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Plain {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn run() -> RunOwner {
        let mut run = RunOwner::new("run", VarStore::new(Device::Cpu));
        let progress = run.progress_mut();
        (progress.epoch, progress.max_epochs, progress.n_batches) = (1, 3, 4);
        run
    }

    fn batch(loss: f64, n_samples: usize) -> BatchEnd {
        BatchEnd { n_samples, loss: Tensor::from(loss), parts: Vec::new(), grad_norm: None }
    }

    fn record() -> EpochRecord {
        let valid: Scores = [("loss", 0.5), ("f1", 0.9)].into_iter().collect();
        EpochRecord {
            epoch: 1,
            step: 4,
            samples: 2400,
            train: [("loss", 0.75)].into_iter().collect(),
            valid: Some(valid),
            learning_rates: vec![0.01],
            grad_norm: None,
            train_seconds: 1.2,
            valid_seconds: 0.3,
        }
    }

    fn of_two(batch: usize) -> PassProgress {
        PassProgress { batch, n_batches: 2, n_samples: 1 }
    }

    /// Calls the hooks of an epoch and a test, and `inspect` with the name of each stage.
    fn call_hooks(progress: &mut Progress, mut inspect: impl FnMut(&str, &mut Progress)) {
        let run = &mut run();
        progress.on_fit_start(run).unwrap();
        progress.on_epoch_start(run).unwrap();
        inspect("epoch", progress);
        for (done, loss, n_samples) in [(1, 1.0, 3), (2, 2.0, 1)] {
            run.progress_mut().batch = done;
            assert_eq!(progress.on_batch_end(run, &batch(loss, n_samples)).unwrap(), Flow::Continue);
            // Makes an update of the bar due after each batch.
            if let Some(pass) = &mut progress.pass {
                pass.last_update -= REFRESH;
            }
        }
        inspect("batches", progress);
        progress.on_evaluation_batch_end(run, Phase::Valid, of_two(1)).unwrap();
        inspect("valid", progress);
        progress.on_evaluation_batch_end(run, Phase::Valid, of_two(2)).unwrap();
        run.progress_mut().best = Some(Best { epoch: 1, step: 4, monitor: "f1".to_owned(), value: 0.9 });
        run.progress_mut().history.epochs = vec![record()];
        assert_eq!(progress.on_epoch_end(run, &record()).unwrap(), Flow::Continue);
        inspect("epoch end", progress);
        progress.on_fit_end(run, Ok(&StopReason::Completed)).unwrap();
        progress.on_evaluation_batch_end(run, Phase::Test, of_two(1)).unwrap();
        inspect("test", progress);
        let evaluation = Evaluation {
            scores: [("f1", 0.8)].into_iter().collect(),
            predictions: Predictions::new(2, vec![], vec![]).unwrap(),
            seconds: 0.25,
        };
        assert_eq!(progress.on_evaluation_end(run, Phase::Test, &evaluation).unwrap(), Flow::Continue);
        inspect("end", progress);
    }

    const EPOCH: &str =
        "epoch=1/3  train loss=0.7500  valid loss=0.5000 f1=0.9000  lr=0.01  1.5 s (2,000 samples/s)  best\n";
    const END: &str = "training ended after 1 epoch (1.5 s): all epochs done; best epoch 1: f1=0.9000\n";
    const TEST: &str = "test f1=0.8000  250 ms\n";

    #[test]
    fn writes_one_plain_line_per_epoch() {
        let out = Plain::default();
        call_hooks(&mut Progress::plain(out.clone()), |_, _| {});
        assert_eq!(out.text(), format!("{EPOCH}{END}{TEST}"));
    }

    #[test]
    fn writes_plain_lines_within_long_epoch() {
        let out = Plain::default();
        call_hooks(&mut Progress::plain(out.clone()).line_every(Duration::ZERO), |_, _| {});
        let text = out.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("epoch 1/3  batch 1/4  loss=1.0000 "), "{text}");
        // The mean over samples: (3 * 1 + 1 * 2) / 4.
        assert!(lines[1].starts_with("epoch 1/3  batch 2/4  loss=1.2500 "), "{text}");
        assert!(lines[1].contains(" samples/s ") && lines[1].ends_with(" left"), "{text}");
        assert!(lines[2].starts_with("valid 1/3  batch 1/2"), "{text}");
        assert!(!text.contains(['\u{1b}', '\r']), "{text}");
    }

    #[test]
    fn hidden_progress_does_not_read_the_loss() {
        // Reading a loss without value would be an error.
        let mut progress = Progress::hidden();
        let run = &mut run();
        progress.on_epoch_start(run).unwrap();
        let batch = BatchEnd { n_samples: 1, loss: Tensor::new(), parts: Vec::new(), grad_norm: None };
        assert_eq!(progress.on_batch_end(run, &batch).unwrap(), Flow::Continue);
        call_hooks(&mut progress, |_, progress| assert!(progress.pass.is_none()));
    }

    #[test]
    fn terminal_shows_one_bar_below_complete_lines() {
        let term = InMemoryTerm::new(30, 120);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 200);
        let writer = ProgressWriter::terminal(target, Lines(term.clone()), false);
        let mut screens = Vec::new();
        call_hooks(&mut Progress::with_writer(writer), |stage, progress| {
            if stage == "batches" {
                progress.writer().write_all(b"WARN first\nWARN second\n").unwrap();
            }
            if let Some(pass) = &progress.pass {
                pass.bar.force_draw();
            }
            screens.push((stage.to_owned(), term.contents()));
        });
        let screen = |name: &str| {
            screens.iter().find(|(stage, _)| stage == name).map(|(_, text)| text.as_str()).unwrap()
        };
        let bars = |text: &str| text.lines().filter(|line| line.contains('[')).count();
        assert!(screen("epoch").starts_with("epoch 1/3 [   "), "{}", screen("epoch"));

        let batches: Vec<&str> = screen("batches").lines().collect();
        assert_eq!(batches[..2], ["WARN first", "WARN second"]);
        assert!(batches[2].starts_with("epoch 1/3 [=======>      "), "{batches:?}");
        assert!(batches[2].contains("] 2/4 loss=1.2500 "), "{batches:?}");
        assert!(batches[2].ends_with(" left"), "{batches:?}");

        assert_eq!(bars(screen("valid")), 1);
        assert!(screen("valid").lines().last().unwrap().starts_with("valid 1/3 ["), "{}", screen("valid"));

        assert_eq!(screen("epoch end"), format!("WARN first\nWARN second\n{}", EPOCH.trim_end()));
        assert_eq!(bars(screen("test")), 1);
        assert!(screen("test").lines().last().unwrap().starts_with("test ["), "{}", screen("test"));
        let all = format!("WARN first\nWARN second\n{EPOCH}{END}{TEST}");
        assert_eq!(screen("end"), all.trim_end());
    }

    #[test]
    fn uses_colors_only_if_enabled() {
        let check = |colors: bool| {
            let term = InMemoryTerm::new(30, 120);
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 200);
            let out = Plain::default();
            let writer = ProgressWriter::terminal(target, out.clone(), colors);
            call_hooks(&mut Progress::with_writer(writer), |_, _| {});
            assert_eq!(out.text().contains('\u{1b}'), colors, "{}", out.text());
        };
        check(false);
        check(true);
    }

    #[test]
    fn error_clears_the_terminal() {
        let term = InMemoryTerm::new(30, 120);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 200);
        let mut progress =
            Progress::with_writer(ProgressWriter::terminal(target, Lines(term.clone()), false));
        let run = &mut run();
        progress.on_epoch_start(run).unwrap();
        assert!(term.contents().starts_with("epoch 1/3"), "{}", term.contents());
        progress.on_fit_end(run, Err(&io::Error::other("loss is NaN"))).unwrap();
        assert_eq!(term.contents(), "");
    }
}
