//! The last lines of the log, kept while they cannot be written to the terminal.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines that are kept.
const MOST: usize = 200;

/// A writer that writes to standard error, or, while a view has the terminal, into memory. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    held: bool,
    whole: VecDeque<String>,
    /// The beginning of a line that has no end yet.
    begun: String,
}

impl Tail {
    /// Lines stay here from now on.
    pub(crate) fn begin(&self) {
        self.lines().held = true;
    }

    /// Lines go to standard error again.
    pub(crate) fn end(&self) {
        self.lines().held = false;
    }

    /// The last `n` lines.
    pub(crate) fn last(&self, n: usize) -> Vec<String> {
        let lines = self.lines();
        lines.whole.iter().skip(lines.whole.len().saturating_sub(n)).cloned().collect()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.lines();
        if !lines.held {
            io::stderr().write_all(bytes)?;
        }
        for part in String::from_utf8_lossy(bytes).split_inclusive('\n') {
            lines.begun.push_str(part.trim_end_matches('\n'));
            if part.ends_with('\n') {
                let whole = std::mem::take(&mut lines.begun);
                lines.whole.push_back(whole);
            }
        }
        while lines.whole.len() > MOST {
            lines.whole.pop_front();
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
    fn lines_are_kept_whole_and_in_order() {
        let mut tail = Tail::default();
        tail.begin();
        write!(tail, "one\ntw").unwrap();
        write!(tail, "o\nthree").unwrap();
        assert_eq!(tail.last(5), ["one", "two"]);
        assert_eq!(tail.last(1), ["two"]);
        (0..300).for_each(|line| writeln!(tail, " {line}").unwrap());
        assert_eq!(tail.last(500).len(), MOST);
        assert_eq!(tail.last(1), [" 299"]);
    }
}
