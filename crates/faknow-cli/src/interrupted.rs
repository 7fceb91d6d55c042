//! An interrupted run is neither a failure nor done: its own exit code, and the command that resumes it.

use std::fmt;
use std::path::{Path, PathBuf};

use faknow::train::Outcome;
use faknow::trainer::FitReport;

/// The exit code of a program that a signal ended, as shells have it.
pub(crate) const EXIT_CODE: u8 = 130;

/// Work was interrupted and can be resumed.
#[derive(Debug)]
pub(crate) struct Interrupted {
    /// Where it ended.
    at: String,
    /// Subcommand that resumes, without its last argument, a directory.
    command: &'static str,
    dir: PathBuf,
}

impl Interrupted {
    /// Whether this is how a run ended.
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        let FitReport { stop_reason, history, .. } = &outcome.fit;
        let at = format!("epoch {}", history.epochs.len() + 1);
        (stop_reason.code() == "interrupted").then(|| Self {
            at,
            command: "resume",
            dir: outcome.run.clone(),
        })
    }

    /// The end of several runs at this place.
    pub(crate) fn at(at: String, command: &'static str, dir: &Path) -> Self {
        Self { at, command, dir: dir.to_path_buf() }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.dir.display().to_string();
        let quote = if dir.contains(' ') { "'" } else { "" };
        write!(
            f,
            "interrupted in {}; resume with: {} {} {quote}{dir}{quote}",
            self.at,
            program_name(),
            self.command
        )
    }
}

impl std::error::Error for Interrupted {}

/// The name by which the program was started, without its directory.
fn program_name() -> String {
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "faknow".to_owned())
}
