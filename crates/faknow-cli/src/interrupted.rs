//! Interruption of a command: a separate exit code, and the command that resumes the work.

use std::fmt;
use std::path::{Path, PathBuf};

use faknow::callbacks::StopReason;
use faknow::train::Outcome;
use faknow::trainer::FitReport;

/// Exit code of an interrupted program, by shell convention.
pub(crate) const EXIT_CODE: u8 = 130;

/// A run, cross-validation or search was interrupted and can be resumed.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// Position at the interruption.
    location: String,
    /// Subcommand that resumes, without its last argument, the directory.
    command: &'static str,
    dir: PathBuf,
}

impl Interrupted {
    /// Returns the interruption of a run, if it was interrupted.
    pub(crate) fn from_outcome(outcome: &Outcome) -> Option<Self> {
        let FitReport { stop_reason, history, .. } = &outcome.fit;
        let location = match stop_reason {
            StopReason::Interrupted => format!("epoch {}", history.epochs.len() + 1),
            _ => "the steps after training".to_owned(),
        };
        outcome.is_interrupted.then(|| Self { location, command: "resume", dir: outcome.run.clone() })
    }

    /// Creates the interruption of a cross-validation or a search.
    pub(crate) fn new(location: String, command: &'static str, dir: &Path) -> Self {
        Self { location, command, dir: dir.to_path_buf() }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.dir.display().to_string();
        let quote = if dir.contains(' ') { "'" } else { "" };
        write!(
            f,
            "interrupted in {}; resume with: {} {} {quote}{dir}{quote}",
            self.location,
            program_name(),
            self.command
        )
    }
}

impl std::error::Error for Interrupted {}

/// Returns the name of the program as it was called, without its directory.
fn program_name() -> String {
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "faknow".to_owned())
}
