//! Errors of callbacks: what this crate reports, and what a callback's hook may return.

use std::fmt;
use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a hook returns: `?` works on every error, and `Err("text".into())` is one.
///
/// ```
/// use faknow_callbacks::{Callback, HookResult, Run};
///
/// struct Ping;
///
/// impl Callback for Ping {
///     fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
///         std::fs::write("/nonexistent/started", run.name())?;
///         Ok(())
///     }
/// }
/// ```
pub type HookResult<T = ()> = std::result::Result<T, BoxError>;

/// An error of this crate; in a run it ends the run, and what was computed and written before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The monitored value is not among the recorded ones.
    #[error(
        "monitor `{name}`: expected a recorded value ({}), got an unknown name; the direction of a value that a \
         callback logs has to be given: `Monitor::max(\"{name}\")`", known.join(", ")
    )]
    UnknownMonitor {
        /// The unknown name.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The monitored value was not recorded in an epoch.
    #[error("monitor `{name}`: expected a value in every validation, got none in epoch {epoch}; recorded: {}",
        known.join(", "))]
    MissingMonitor {
        /// Name of the monitored value.
        name: String,
        /// The epoch.
        epoch: usize,
        /// The names of the recorded values.
        known: Vec<String>,
    },
    /// Something needs validation, but the run has no validation data.
    #[error("{needed_by} needs validation data; give `fit` a validation loader")]
    NoValidation {
        /// What needs it.
        needed_by: String,
    },
    /// A setting is outside its range.
    #[error("{name}: expected {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        name: &'static str,
        /// The accepted values.
        expected: String,
        /// The given value.
        got: String,
    },
    /// Something writes into the run's directory, but the run has none.
    #[error("{needed_by}: the run has no directory to write to; give the run one, or this callback a path")]
    NoRunDir {
        /// What needs it.
        needed_by: String,
    },
    /// Two callbacks would save their state under the same key.
    #[error(
        "callbacks {first} and {second}: expected different keys, got `{key}` twice; give one of them another key"
    )]
    DuplicateKey {
        /// The key.
        key: String,
        /// Name of the first callback.
        first: String,
        /// Name of the second callback.
        second: String,
    },
    /// A callback has a state to save, but no key to save it under.
    #[error("callback {callback}: expected a `key()`, since it has a state to save, got none")]
    MissingKey {
        /// Name of the callback.
        callback: String,
    },
    /// A value cannot be logged under this name.
    #[error("log `{name}`: expected {expected}")]
    LogName {
        /// The name.
        name: String,
        /// What is expected instead.
        expected: String,
    },
    /// A tensor could not be read.
    #[error("{what}: {error}")]
    Tensor {
        /// What it holds.
        what: String,
        /// The error of libtorch.
        error: tch::TchError,
    },
    /// An event of TensorBoard could not be made.
    #[error("TensorBoard: {message}")]
    TensorBoard {
        /// What went wrong.
        message: String,
    },
    /// This process has a global subscriber already.
    #[error("the console log cannot be set up: {0}")]
    Console(tracing_subscriber::util::TryInitError),
    /// A hook of a callback returned another error, or panicked.
    #[error(transparent)]
    Hook(#[from] HookError),
}

impl Error {
    /// An [`Error::Io`] of this file or directory.
    pub fn io(path: impl Into<PathBuf>, error: std::io::Error) -> Self {
        Self::Io { path: path.into(), error }
    }
}

/// An error of a callback, with the callback's name, the hook and where the run stood.
///
/// Its text includes that of the error itself, so [`source`](std::error::Error::source) returns the cause of that.
#[derive(Debug)]
pub struct HookError {
    /// Name of the callback.
    pub callback: String,
    /// Name of the hook: `on_epoch_end`.
    pub hook: &'static str,
    /// The epoch, from 1; 0 before the first, and where the state is saved or restored.
    pub epoch: usize,
    /// Updates of the weights so far.
    pub step: u64,
    /// The error that the hook returned.
    pub error: BoxError,
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { callback, hook, epoch, step, error } = self;
        match epoch {
            0 => write!(f, "{callback}: {error} (in {hook})"),
            _ => write!(f, "{callback}: {error} (in {hook}, epoch {epoch}, step {step})"),
        }
    }
}

impl std::error::Error for HookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
