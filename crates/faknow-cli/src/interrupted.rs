//! A run that was asked to end is no failure, but not done either: its own exit code, and how to go on.

use std::fmt;
use std::path::PathBuf;

use faknow::recipe::Outcome;
use faknow::trainer::FitReport;

/// The exit code of a program that a signal ended, as shells have it.
pub(crate) const EXIT_CODE: u8 = 130;

/// A run ended before it was done, and can be resumed.
#[derive(Debug)]
pub(crate) struct Interrupted {
    epoch: usize,
    run: PathBuf,
}

impl Interrupted {
    /// Whether this is how a run ended.
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        let FitReport { ended, history, .. } = &outcome.fit;
        (ended.code() == "interrupted")
            .then(|| Self { epoch: history.epochs.len() + 1, run: outcome.run.clone() })
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = self.run.display().to_string();
        let quote = if run.contains(' ') { "'" } else { "" };
        write!(f, "interrupted in epoch {}; to go on: faknow resume {quote}{run}{quote}", self.epoch)
    }
}

impl std::error::Error for Interrupted {}
