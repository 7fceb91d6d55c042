//! What people see: log lines and progress on standard error, results on standard output.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use faknow::callbacks::{LevelFilter, Progress, ProgressWriter, init_console};

/// How much is said on standard error.
#[derive(Debug, Args)]
pub(crate) struct ConsoleOptions {
    /// Say more on standard error (-v: debug)
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Say nothing on standard error but warnings and errors, and show no progress
    #[arg(short, long, global = true)]
    quiet: bool,
}

/// The terminal, set up.
pub(crate) struct Console {
    writer: ProgressWriter,
    quiet: bool,
}

impl ConsoleOptions {
    pub(crate) fn start(&self) -> Result<Console> {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::WARN,
            (_, true) => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        };
        let writer = ProgressWriter::stderr();
        init_console(level, &writer)?;
        Ok(Console { writer, quiet: self.quiet })
    }
}

impl Console {
    /// A progress bar on a terminal, lines elsewhere.
    pub(crate) fn progress(&self) -> Progress {
        if self.quiet { Progress::hidden() } else { Progress::on(self.writer.clone()) }
    }
}

/// Prints to standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints one clear line and answers the exit code: 2 if what was given is wrong, 1 if the course of things was.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    // Layers repeat what their cause says: the outermost message is the whole one.
    let _ = writeln!(std::io::stderr(), "error: {error}");
    let input = error.downcast_ref::<faknow::Error>().is_some_and(faknow::Error::is_input)
        || error.downcast_ref::<faknow::data::Error>().is_some();
    if input { ExitCode::from(2) } else { ExitCode::FAILURE }
}
