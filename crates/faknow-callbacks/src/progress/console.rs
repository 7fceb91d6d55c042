//! Logging of a program: lines on the terminal and in the log of each run.

use std::fmt;

use faknow_data::common::printable_lines;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::logs::layer::RUN_TARGET;
use crate::{ProgressWriter, Result, RunLogLayer};

/// Creates a subscriber that writes events of `level` and above to `console`, above its progress bar, and those of `INFO`
/// and above into the log of the run to which they belong.
///
/// `level` applies to the crates of this workspace; events of other crates are shown from `INFO` up.
pub fn console_subscriber(
    level: LevelFilter,
    console: &ProgressWriter,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static {
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target("faknow", level)
        // Events only for the log of the run, and the span, whose name would precede every line.
        .with_target(RUN_TARGET, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(console.clone())
        .with_ansi(console.has_colors())
        .with_target(false)
        .fmt_fields(debug_fn(write_field).delimited(" "))
        // A line that cannot be shown is dropped; by default, it is written to standard error again, which panics.
        .log_internal_errors(false)
        .without_time()
        .with_filter(filter);
    tracing_subscriber::registry().with(lines).with(RunLogLayer.with_filter(LevelFilter::INFO))
}

/// Installs [`console_subscriber`] as the logger of the process. Call it in the `main` function of a program, never in a
/// library.
///
/// Events of the `log` crate are included. Pass the same `console` to
/// [`Progress::with_writer`](crate::Progress::with_writer), so that log lines and progress bar do not overwrite each other.
///
/// ```
/// use faknow_callbacks::{LevelFilter, Progress, ProgressWriter, init_console};
///
/// let console = ProgressWriter::stderr();
/// init_console(LevelFilter::WARN, &console)?;
/// let progress = Progress::with_writer(console);
/// # let _ = progress;
/// # Ok::<(), faknow_callbacks::Error>(())
/// ```
///
/// # Errors
/// The process already has a logger.
pub fn init_console(level: LevelFilter, console: &ProgressWriter) -> Result<()> {
    console_subscriber(level, console).try_init().map_err(crate::Error::Console)
}

/// Writes a field of an event; text from files is made safe for terminals.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = printable_lines(&format!("{value:?}"));
    match field.name() {
        "message" => out.write_str(&text),
        // Those of the `log` crate: file and line of the source.
        name if name.starts_with("log.") => Ok(()),
        name => write!(out, "{name}={text}"),
    }
}
