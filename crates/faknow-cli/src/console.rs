//! What people see: log lines and progress on standard error, results on standard output.

#[cfg(feature = "tui")]
use std::io::IsTerminal as _;
use std::io::Write;
use std::panic::{UnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::error::ErrorKind;
use faknow::callbacks::{Callbacks, LevelFilter, Progress, ProgressWriter, init_console};
use faknow::data::common::panic_message;
use faknow::train::{ContextFactory, RunContext};
use faknow::trainer::Interrupt;

use crate::interrupted::{EXIT_CODE, Interrupted};
use crate::option_names::in_options;

/// The lines of the log that a live view shows.
#[cfg(feature = "tui")]
type View = crate::tui::Tail;
/// No value: a build without the feature `tui` has no live view.
#[cfg(not(feature = "tui"))]
type View = std::convert::Infallible;

/// How much is said on standard error.
#[derive(Debug, Args)]
pub(crate) struct ConsoleOptions {
    /// Verbose logging on standard error
    #[arg(short, long, global = true, conflicts_with = "quiet", display_order = 100)]
    verbose: bool,
    /// Only warnings and errors on standard error, and no progress
    #[arg(short, long, global = true, display_order = 101)]
    quiet: bool,
}

/// The terminal, set up.
pub(crate) struct Console {
    writer: ProgressWriter,
    quiet: bool,
    /// The live view, if it is wanted and can be shown.
    view: Option<View>,
}

impl ConsoleOptions {
    /// Sets the terminal up; a live view needs one, and gives way to plain lines elsewhere.
    pub(crate) fn start(&self, wants_view: bool) -> Result<Console> {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::WARN,
            (_, true) => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        };
        let (view, writer) = open_view(wants_view)?;
        init_console(level, &writer)?;
        if wants_view && view.is_none() {
            tracing::warn!("--tui needs a terminal on standard error; lines are written instead");
        }
        Ok(Console { writer, quiet: self.quiet, view })
    }
}

/// The live view, if it is wanted and standard error is a terminal, and where log lines go.
#[cfg(feature = "tui")]
fn open_view(is_wanted: bool) -> Result<(Option<View>, ProgressWriter)> {
    let view = (is_wanted && std::io::stderr().is_terminal()).then(View::default);
    let writer = view.clone().map_or_else(ProgressWriter::stderr, ProgressWriter::plain);
    Ok((view, writer))
}

#[cfg(not(feature = "tui"))]
fn open_view(is_wanted: bool) -> Result<(Option<View>, ProgressWriter)> {
    if is_wanted {
        return Err(faknow::Error::config("--tui", "needs a build with the feature `tui`").into());
    }
    Ok((None, ProgressWriter::stderr()))
}

impl Console {
    /// A progress bar on a terminal, lines elsewhere.
    pub(crate) fn progress(&self) -> Progress {
        if self.quiet { Progress::hidden() } else { Progress::with_writer(self.writer.clone()) }
    }

    /// What a run is surrounded by: progress, and Ctrl-C.
    pub(crate) fn context(&self) -> Result<RunContext> {
        let mut context = RunContext { interrupt: Interrupt::on_signals()?, ..RunContext::default() };
        match &self.view {
            #[cfg(feature = "tui")]
            Some(tail) => {
                context.callbacks.push(crate::tui::Tui::new(tail.clone(), context.interrupt.clone()));
            }
            #[cfg(not(feature = "tui"))]
            Some(view) => match *view {},
            None => context.callbacks.push(self.progress()),
        }
        Ok(context)
    }

    /// The same for several runs.
    pub(crate) fn contexts(&self) -> Result<ContextFactory<'_>> {
        let callbacks = || {
            let mut callbacks = Callbacks::default();
            callbacks.push(self.progress());
            callbacks
        };
        Ok(ContextFactory { callbacks: Some(Box::new(callbacks)), interrupt: Interrupt::on_signals()? })
    }
}

/// Prints to standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Does the program's work and answers the exit code: 2 if what was given is wrong, 1 if the course of things was.
pub(crate) fn run(work: impl FnOnce() -> Result<()> + UnwindSafe) -> ExitCode {
    // Panics in models and loaders become errors with a place, further down; the hook's own lines would only stand
    // in the way.
    set_hook(Box::new(|_| {}));
    match catch_unwind(work) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) if error.downcast_ref::<Interrupted>().is_some() => {
            say(&error.to_string());
            ExitCode::from(EXIT_CODE)
        }
        Ok(Err(error)) => {
            // Layers repeat what their cause says: the outermost message is the whole one.
            let arguments: Vec<String> = std::env::args().collect();
            say_error(&in_options(&error.to_string(), &arguments));
            if is_input(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
        Err(panic) => {
            let message = panic_message(&*panic);
            say_error(&format!("internal error, please report it with the command that led here: {message}"));
            ExitCode::FAILURE
        }
    }
}

/// Answers what clap says of the arguments: help as it is, an error in one line.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Nobody is left to hear that this could not be written.
        let _ = error.print();
        return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    let text = error.to_string();
    let said: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.starts_with("For more information"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let said = said.join(" ").replace(" tip: ", "; ");
    say_error(&format!("{}; --help lists what there is", said.strip_prefix("error: ").unwrap_or(&said)));
    ExitCode::from(2)
}

fn say_error(message: &str) {
    say(&format!("error: {message}"));
}

/// One line, whatever the message; a reader that has gone away is no error.
fn say(message: &str) {
    let line = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn is_input(error: &anyhow::Error) -> bool {
    error.downcast_ref::<faknow::Error>().is_some_and(faknow::Error::is_input)
        || is_input_of_server(error)
        || error.downcast_ref::<faknow::data::Error>().is_some()
        || error.downcast_ref::<faknow::report::Error>().is_some()
}

#[cfg(feature = "serve")]
fn is_input_of_server(error: &anyhow::Error) -> bool {
    error.downcast_ref::<faknow_serve::Error>().is_some_and(faknow_serve::Error::is_input)
}

#[cfg(not(feature = "serve"))]
fn is_input_of_server(_: &anyhow::Error) -> bool {
    false
}
