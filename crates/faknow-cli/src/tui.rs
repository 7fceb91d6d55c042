//! A live view of a run in the terminal: curves, progress, the best so far, the last lines of the log.

mod screen;
mod state;
mod tail;
mod view;

use std::time::{Duration, Instant};

use faknow::callbacks::{BatchEnd, Callback, FitEnd, FitStart, Flow, HookResult, PassProgress, Phase, Run};
use faknow::metrics::EpochRecord;
use faknow::trainer::Interrupt;

use screen::{Key, Screen};
use state::State;
pub(crate) use tail::Tail;

/// Time between two pictures: as often as an eye can follow, and too seldom to slow training down.
const REDRAW: Duration = Duration::from_millis(150);

/// Draws the run; the terminal is as it was before when the fit ends, fails or panics.
pub(crate) struct Tui {
    screen: Option<Screen>,
    tail: Tail,
    interrupt: Interrupt,
    state: State,
    drawn: Option<Instant>,
}

impl Tui {
    /// A view that begins with the run; lines of the log are those of `tail`, and q or Ctrl-C make the `interrupt`.
    pub(crate) fn new(tail: Tail, interrupt: Interrupt) -> Self {
        Self { screen: None, tail, interrupt, state: State::default(), drawn: None }
    }

    /// Draws, if the last picture is old enough, and looks what was typed.
    fn draw(&mut self, run: &Run) {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        let (Some(screen), true) = (&mut self.screen, is_due) else { return };
        self.drawn = Some(Instant::now());
        match screen.key() {
            Some(Key::Stop) if self.interrupt.is_requested() => {
                // Asked for twice: at once, as by a second signal.
                self.leave();
                std::process::exit(130);
            }
            Some(Key::Stop) => self.interrupt.request(),
            None => {}
        }
        self.state.look_at(run);
        self.state.stopping = self.interrupt.is_requested();
        let (state, lines) = (&self.state, self.tail.last(view::MOST_LINES));
        if let Err(error) = screen.draw(|frame| view::draw(frame, state, &lines)) {
            self.give_up(&error);
        }
    }

    /// A terminal that fails is no reason to end a run.
    fn give_up(&mut self, error: &std::io::Error) {
        self.leave();
        tracing::warn!("the live view ends, the run goes on: {error}");
    }

    fn leave(&mut self) {
        self.tail.end();
        self.screen = None;
    }
}

impl Drop for Tui {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Callback for Tui {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() != FitStart::New {
            self.state.forget();
        }
        if run.start() != FitStart::RolledBack {
            match Screen::enter() {
                Ok(screen) => {
                    self.screen = Some(screen);
                    self.tail.begin();
                }
                Err(error) => self.give_up(&error),
            }
        }
        self.draw(run);
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run, batch: &BatchEnd) -> HookResult<Flow> {
        // Reading a loss waits for the device, so only when it is shown.
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            if let Ok(loss) = batch.read_loss() {
                self.state.add_loss(run, loss);
            }
            self.draw(run);
        }
        Ok(Flow::Continue)
    }

    fn on_evaluation_batch_end(&mut self, run: &mut Run, _: Phase, progress: PassProgress) -> HookResult {
        let PassProgress { batch, n_batches, .. } = progress;
        self.state.validating = Some((batch, n_batches)).filter(|_| batch < n_batches);
        self.draw(run);
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, _: &EpochRecord) -> HookResult<Flow> {
        self.state.validating = None;
        self.drawn = None;
        self.draw(run);
        Ok(Flow::Continue)
    }

    fn on_fit_end(&mut self, _: &mut Run, _: FitEnd<'_>) -> HookResult {
        self.leave();
        Ok(())
    }
}
