//! The last lines of the log, held back while they cannot be written to the terminal.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of stored lines.
const MAX_LINES: usize = 200;

/// A writer to standard error, or to memory while a view uses the terminal. Clones share their lines.
#[derive(Clone, Default)]
pub(crate) struct LogTail(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    is_held: bool,
    complete: VecDeque<String>,
    /// The start of an unfinished line.
    partial: String,
}

impl LogTail {
    /// Holds back further lines.
    pub(crate) fn hold(&self) {
        self.lines().is_held = true;
    }

    /// Writes further lines to standard error again.
    pub(crate) fn release(&self) {
        self.lines().is_held = false;
    }

    /// Returns the last `n` lines.
    pub(crate) fn last(&self, n: usize) -> Vec<String> {
        let lines = self.lines();
        lines.complete.iter().skip(lines.complete.len().saturating_sub(n)).cloned().collect()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogTail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.lines();
        if !lines.is_held {
            // What cannot be shown is dropped.
            let _ = io::stderr().write_all(bytes);
        }
        for part in String::from_utf8_lossy(bytes).split_inclusive('\n') {
            lines.partial.push_str(part.trim_end_matches('\n'));
            if part.ends_with('\n') {
                let line = std::mem::take(&mut lines.partial);
                lines.complete.push_back(line);
            }
        }
        while lines.complete.len() > MAX_LINES {
            lines.complete.pop_front();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_complete_lines_in_order() {
        let mut tail = LogTail::default();
        tail.hold();
        write!(tail, "one\ntw").unwrap();
        write!(tail, "o\nthree").unwrap();
        assert_eq!(tail.last(5), ["one", "two"]);
        assert_eq!(tail.last(1), ["two"]);
        (0..300).for_each(|line| writeln!(tail, " {line}").unwrap());
        assert_eq!(tail.last(500).len(), MAX_LINES);
        assert_eq!(tail.last(1), [" 299"]);
    }
}
