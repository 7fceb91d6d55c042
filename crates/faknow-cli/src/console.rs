//! Terminal output: log and progress on standard error, results on standard output, exit codes.

use std::io::{IsTerminal as _, Write};
use std::panic::{UnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::{Result, bail};
use clap::Args;
use faknow::callbacks::{Callbacks, LevelFilter, Progress, ProgressWriter, init_console};
use faknow::data::common::{panic_message, printable};
use faknow::train::{ContextFactory, RunContext};
use faknow::trainer::Interrupt;

use crate::advice::with_advice;
use crate::interrupted::{EXIT_CODE, Interrupted};
use crate::option_names::{in_options, reader_settings_in_options};

/// The log lines of a live view.
#[cfg(feature = "tui")]
type View = crate::tui::LogTail;
/// Uninhabited: a build without the feature `tui` has no live view.
#[cfg(not(feature = "tui"))]
type View = std::convert::Infallible;

/// Verbosity of standard error.
#[derive(Debug, Args)]
pub(crate) struct ConsoleOptions {
    /// Log more details to standard error
    #[arg(short, long, global = true, conflicts_with = "quiet", display_order = 100)]
    verbose: bool,
    /// Log only warnings and errors, and show no progress
    #[arg(short, long, global = true, display_order = 101)]
    quiet: bool,
}

/// The configured terminal output.
pub(crate) struct Console {
    writer: ProgressWriter,
    quiet: bool,
    /// The live view, if it is requested and supported.
    view: Option<View>,
}

impl ConsoleOptions {
    /// Sets up the output; without a terminal, plain lines replace the live view.
    pub(crate) fn start(&self, is_live: bool) -> Result<Console> {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::WARN,
            (_, true) => LevelFilter::DEBUG,
            _ => LevelFilter::INFO,
        };
        let (view, writer) = open_view(is_live)?;
        init_console(level, &writer)?;
        if is_live && view.is_none() {
            tracing::warn!("--tui needs a terminal on standard error; writing plain lines instead");
        }
        Ok(Console { writer, quiet: self.quiet, view })
    }
}

/// Returns the live view, if it is requested and standard error is a terminal, and the writer of log lines.
#[cfg(feature = "tui")]
fn open_view(is_live: bool) -> Result<(Option<View>, ProgressWriter)> {
    let view = (is_live && std::io::stderr().is_terminal()).then(View::default);
    let writer = view.clone().map_or_else(ProgressWriter::stderr, ProgressWriter::plain);
    Ok((view, writer))
}

#[cfg(not(feature = "tui"))]
fn open_view(is_live: bool) -> Result<(Option<View>, ProgressWriter)> {
    if is_live {
        return Err(faknow::Error::config("--tui", "requires a build with the feature `tui`").into());
    }
    Ok((None, ProgressWriter::stderr()))
}

impl Console {
    /// Returns whether only warnings and errors are shown.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Returns the progress display: a bar on a terminal, lines elsewhere.
    pub(crate) fn progress(&self) -> Progress {
        if self.quiet { Progress::hidden() } else { Progress::with_writer(self.writer.clone()) }
    }

    /// Returns the context of a run: progress display and Ctrl-C handling.
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

    /// Returns the contexts of several runs.
    pub(crate) fn contexts(&self) -> Result<ContextFactory<'_>> {
        let callbacks = || {
            let mut callbacks = Callbacks::default();
            callbacks.push(self.progress());
            callbacks
        };
        Ok(ContextFactory { callbacks: Some(Box::new(callbacks)), interrupt: Interrupt::on_signals()? })
    }
}

/// Whether standard output was a terminal at the start: one that has disappeared is not recognized any more.
static PRINTS_TO_TERMINAL: OnceLock<bool> = OnceLock::new();

/// Prints a result to standard output. A closed pipe or terminal is not an error: no one reads the result.
///
/// # Errors
/// The result cannot be written to a file.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if !is_closed(&error) => bail!("cannot write the result to standard output: {error}"),
        _ => Ok(()),
    }
}

/// Returns whether no one reads standard output any more, according to an error of writing to it.
pub(crate) fn is_closed(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe || PRINTS_TO_TERMINAL.get() == Some(&true)
}

/// Runs a command and returns the exit code: 2 for invalid input, 1 for other failures.
pub(crate) fn run(work: impl FnOnce() -> Result<()> + UnwindSafe) -> ExitCode {
    // Panics in models and loaders become errors with a location; the output of the default hook would be noise.
    set_hook(Box::new(|_| {}));
    PRINTS_TO_TERMINAL.get_or_init(|| std::io::stdout().is_terminal());
    match catch_unwind(work) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) if error.downcast_ref::<Interrupted>().is_some() => {
            print_line(&error.to_string());
            ExitCode::from(EXIT_CODE)
        }
        Ok(Err(error)) => {
            // The outermost message includes those of its causes.
            let arguments: Vec<String> = std::env::args().collect();
            let message = in_options(&reader_settings_in_options(&error.to_string()), &arguments);
            print_error(&with_advice(&message, &error, &arguments));
            if is_input(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
        Err(panic) => {
            let message = panic_message(&*panic);
            print_error(&format!("internal error: {message}; please report it with the command"));
            ExitCode::FAILURE
        }
    }
}

/// Maximum number of characters of a line on standard error.
const MAX_LINE: usize = 4_000;

/// Prints an error in one line to standard error.
pub(crate) fn print_error(message: &str) {
    print_line(&format!("error: {message}"));
}

/// Prints a message as one line to standard error; a closed pipe is not an error.
fn print_line(message: &str) {
    let line = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let _ = writeln!(std::io::stderr(), "{}", printable(&line, MAX_LINE));
}

fn is_input(error: &anyhow::Error) -> bool {
    error.downcast_ref::<faknow::Error>().is_some_and(faknow::Error::is_input)
        || is_server_input(error)
        || error.downcast_ref::<faknow::data::Error>().is_some()
        || error.downcast_ref::<faknow::report::Error>().is_some()
}

#[cfg(feature = "serve")]
fn is_server_input(error: &anyhow::Error) -> bool {
    error.downcast_ref::<faknow_serve::Error>().is_some_and(faknow_serve::Error::is_input)
}

#[cfg(not(feature = "serve"))]
fn is_server_input(_: &anyhow::Error) -> bool {
    false
}
