//! A terminal for progress bars that may disappear at any time.

use std::io;

use console::Term;
use indicatif::TermLike;

/// Minimum width that is assumed: in a narrower window, indicatif computes negative lengths.
const MIN_WIDTH: u16 = 8;

/// A terminal whose errors are dropped, since indicatif panics on them: without the terminal, nothing is shown.
#[derive(Debug)]
pub(crate) struct Terminal(Term);

impl Terminal {
    /// Returns the terminal of standard error.
    pub(crate) fn stderr() -> Self {
        Self(Term::buffered_stderr())
    }

    /// Returns whether a terminal of the type `term` (the environment variable `TERM`) can move its cursor, which bars need.
    pub(crate) fn can_move_cursor(term: Option<&str>) -> bool {
        cfg!(windows) || !matches!(term, None | Some("" | "dumb"))
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.0.size().1.max(MIN_WIDTH)
    }

    fn height(&self) -> u16 {
        self.0.size().0.max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        dropped(self.0.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        dropped(self.0.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        dropped(self.0.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        dropped(self.0.move_cursor_left(n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        dropped(self.0.write_line(text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        dropped(self.0.write_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        dropped(self.0.clear_line())
    }

    fn flush(&self) -> io::Result<()> {
        dropped(self.0.flush())
    }
}

/// Drops an error of the terminal.
fn dropped(result: io::Result<()>) -> io::Result<()> {
    let _ = result;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumb_terminals_have_no_bars() {
        for (term, expected) in [
            (None, false),
            (Some(""), false),
            (Some("dumb"), false),
            (Some("xterm"), true),
            (Some("vt100"), true),
        ] {
            assert_eq!(Terminal::can_move_cursor(term), expected, "{term:?}");
        }
    }
}
