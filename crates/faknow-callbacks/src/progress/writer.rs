//! The destination of progress and log lines: a terminal with a bar below the lines, or plain text.

use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use tracing_subscriber::fmt::MakeWriter;

use super::terminal::Terminal;

/// A writer of lines with progress bars below them.
///
/// [`Progress`](crate::Progress) draws its bar on it, and `tracing_subscriber::fmt` can use it as its writer, so that log
/// lines and bar do not overwrite each other. Clones share the destination.
///
/// Writing never fails: what cannot be shown (a closed terminal or pipe, a full disk, a panic of the destination) is dropped,
/// since a run must not depend on its display.
#[derive(Clone)]
pub struct ProgressWriter {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    bars: Option<MultiProgress>,
    colors: bool,
    hidden: bool,
}

impl ProgressWriter {
    /// Creates a writer to standard error, with bars and colors if it is a terminal other than `TERM=dumb`. A
    /// non-empty environment variable `NO_COLOR` disables colors.
    pub fn stderr() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal =
            io::stderr().is_terminal() && Terminal::can_move_cursor(std::env::var("TERM").ok().as_deref());
        let target = || ProgressDrawTarget::term_like(Box::new(Terminal::stderr()));
        let bars = is_terminal.then(|| MultiProgress::with_draw_target(target()));
        Self { bars, colors: is_terminal && !no_color, ..Self::plain(io::stderr()) }
    }

    /// Creates a writer of plain lines, without bars and colors.
    pub fn plain(out: impl Write + Send + 'static) -> Self {
        Self { out: Arc::new(Mutex::new(Box::new(out))), bars: None, colors: false, hidden: false }
    }

    /// Creates a writer that discards everything.
    pub fn hidden() -> Self {
        Self { hidden: true, ..Self::plain(io::sink()) }
    }

    /// Returns whether lines may be colored.
    pub fn has_colors(&self) -> bool {
        self.colors
    }

    /// Returns whether the output is discarded.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Returns whether bars are shown.
    pub(crate) fn has_bars(&self) -> bool {
        self.bars.is_some()
    }

    /// Shows a bar; returns a hidden bar if the writer has no bars.
    pub(crate) fn add(&self, bar: ProgressBar) -> ProgressBar {
        match &self.bars {
            Some(bars) => bars.add(bar),
            None => ProgressBar::hidden(),
        }
    }

    /// Removes a bar.
    pub(crate) fn remove(&self, bar: &ProgressBar) {
        bar.finish_and_clear();
        if let Some(bars) = &self.bars {
            bars.remove(bar);
        }
    }

    /// Writes a line above the bars.
    pub(crate) fn line(&self, line: &str) {
        self.show(|out| out.write_all(format!("{line}\n").as_bytes()));
    }

    /// Creates a writer with bars on a terminal.
    #[cfg(test)]
    pub(crate) fn terminal(bars: ProgressDrawTarget, out: impl Write + Send + 'static, colors: bool) -> Self {
        Self { bars: Some(MultiProgress::with_draw_target(bars)), colors, ..Self::plain(out) }
    }

    /// Writes above the bars, and drops errors and panics of the destination.
    fn show(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        let write = || {
            // Ignoring poison is safe: a panic of another writer leaves at worst an incomplete line.
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = catch_unwind(AssertUnwindSafe(|| write(out.as_mut()).and_then(|()| out.flush())));
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Write for ProgressWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.show(|out| out.write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.show(|_| Ok(()));
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for ProgressWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl std::fmt::Debug for ProgressWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProgressWriter")
            .field("bars", &self.has_bars())
            .field("colors", &self.colors)
            .field("hidden", &self.hidden)
            .finish()
    }
}
