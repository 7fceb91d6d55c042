//! Sets up logging for a program: lines on the terminal, and into the log of each run.

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::logs::layer::RUN_TARGET;
use crate::{ProgressWriter, Result, RunLogLayer};

/// A subscriber that writes events of `level` and above to `console`, above its progress bar, and those of `INFO`
/// and above into the log of the run to which they belong.
///
/// `level` is for the crates of this workspace; of other crates the console shows `INFO` at most.
pub fn console_subscriber(
    level: LevelFilter,
    console: &ProgressWriter,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + 'static {
    let shown = Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target("faknow", level)
        // For the run's log alone; on the terminal the run's name before every line would only be noise.
        .with_target(RUN_TARGET, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(console.clone())
        .with_ansi(console.has_colors())
        .with_target(false)
        .without_time()
        .with_filter(shown);
    tracing_subscriber::registry().with(lines).with(RunLogLayer.with_filter(LevelFilter::INFO))
}

/// Makes [`console_subscriber`] this process's logger: for the `main` of a program, never for a library.
///
/// Events of the `log` crate are taken too. Give the same `console` to [`Progress::with_writer`](crate::Progress::with_writer), so
/// that log lines and progress bar do not write over each other.
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
/// The process has a logger already.
pub fn init_console(level: LevelFilter, console: &ProgressWriter) -> Result<()> {
    console_subscriber(level, console).try_init().map_err(crate::Error::Console)
}
