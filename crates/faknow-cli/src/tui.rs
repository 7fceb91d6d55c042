//! A live view of a run in the terminal: curves, progress, best epoch, last lines of the log.

mod keys;
mod screen;
mod state;
mod tail;
mod view;

use std::time::{Duration, Instant};

use faknow::callbacks::{BatchEnd, Callback, FitEnd, FitStart, Flow, HookResult, PassProgress, Phase, Run};
use faknow::metrics::EpochRecord;
use faknow::trainer::Interrupt;

use screen::Screen;
use state::State;
pub(crate) use tail::LogTail;

/// Interval between frames: smooth to the eye, and too long to slow training down.
const FRAME_INTERVAL: Duration = Duration::from_millis(150);

/// Draws the run; restores the terminal when the fit ends, fails or panics.
pub(crate) struct Tui {
    screen: Option<Screen>,
    tail: LogTail,
    interrupt: Interrupt,
    state: State,
    last_frame: Option<Instant>,
}

impl Tui {
    /// Creates a view that shows the log lines of `tail`; q or Ctrl-C request `interrupt`.
    pub(crate) fn new(tail: LogTail, interrupt: Interrupt) -> Self {
        Self { screen: None, tail, interrupt, state: State::default(), last_frame: None }
    }

    /// Draws a frame if the last one is old enough.
    fn draw(&mut self, run: &Run) {
        let is_due = self.is_frame_due();
        let (Some(screen), true) = (&mut self.screen, is_due) else { return };
        self.last_frame = Some(Instant::now());
        self.state.update(run);
        self.state.is_stopping = self.interrupt.is_requested();
        let (state, lines) = (&self.state, self.tail.last(view::MAX_LINES));
        if let Err(error) = screen.draw(|frame| view::draw(frame, state, &lines)) {
            self.close_on_error(&error);
        }
    }

    /// Returns whether the last frame is old enough for another one.
    fn is_frame_due(&self) -> bool {
        match self.last_frame {
            Some(time) => time.elapsed() >= FRAME_INTERVAL,
            None => true,
        }
    }

    /// Closes the view after a terminal error; the run continues.
    fn close_on_error(&mut self, error: &std::io::Error) {
        self.close();
        tracing::warn!("live view closed, the run continues: {error}");
    }

    fn close(&mut self) {
        self.tail.release();
        self.screen = None;
    }
}

impl Drop for Tui {
    fn drop(&mut self) {
        self.close();
    }
}

impl Callback for Tui {
    fn is_display(&self) -> bool {
        true
    }

    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() != FitStart::New {
            self.state.clear_batch_losses();
        }
        if run.start() != FitStart::RolledBack {
            match Screen::enter() {
                Ok(screen) => {
                    self.screen = Some(screen);
                    self.tail.hold();
                    keys::watch(self.interrupt.clone());
                }
                Err(error) => self.close_on_error(&error),
            }
        }
        self.draw(run);
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        // Reading a loss synchronizes with the device, so it is read only for a frame.
        if self.is_frame_due() {
            if let Ok(loss) = batch.read_loss() {
                self.state.add_loss(run, loss);
            }
            self.draw(run);
        }
        Ok(Flow::Continue)
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, _: Phase, progress: PassProgress) -> HookResult {
        let PassProgress { batch, n_batches, .. } = progress;
        self.state.validation = Some((batch, n_batches)).filter(|_| batch < n_batches);
        self.draw(run);
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> HookResult<Flow> {
        self.state.validation = None;
        self.last_frame = None;
        self.draw(run);
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, _: &mut Run, _: FitEnd<'_>) -> HookResult {
        self.close();
        Ok(())
    }
}
