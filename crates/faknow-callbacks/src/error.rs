//! Errors of this crate, and the results of hooks.

use std::fmt;
use std::path::PathBuf;

use faknow_data::common::{describe, printable_path, strip_frames, torch_message};

/// A [`Result`](std::result::Result) with the error of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of a hook: `?` converts every error, and `Err("text".into())` is an error too.
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

/// An error of this crate. It ends the run; results written before remain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be written.
    #[error("{path}: {error}", path = printable_path(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The monitored value is not among the recorded values.
    #[error(
        "monitor `{name}`: expected a recorded value ({}), got an unknown name; for a value that a callback logs, give \
         its direction: `Monitor::max(\"{name}\")`", available.join(", ")
    )]
    UnknownMonitor {
        /// The unknown name.
        name: String,
        /// The names of the recorded values.
        available: Vec<String>,
    },
    /// The monitored value was not recorded in an epoch.
    #[error("monitor `{name}`: expected a value in every validation, got none in epoch {epoch}; recorded values: {}",
        available.join(", "))]
    MissingMonitor {
        /// Name of the monitored value.
        name: String,
        /// The epoch.
        epoch: usize,
        /// The names of the recorded values.
        available: Vec<String>,
    },
    /// The run has no validation data, but something requires it.
    #[error("{component} requires validation data; pass a validation loader to `fit`")]
    NoValidation {
        /// The component that requires it.
        component: String,
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
    /// The run has no directory, but something writes to it.
    #[error(
        "{component}: the run has no directory to write to; set a run directory, or a path for this callback"
    )]
    NoRunDir {
        /// The component that requires it.
        component: String,
    },
    /// Two callbacks would save their state under the same key.
    #[error(
        "callbacks {first} and {second}: expected different keys, got `{key}` twice; change the key of one of them"
    )]
    DuplicateKey {
        /// The key.
        key: String,
        /// Name of the first callback.
        first: String,
        /// Name of the second callback.
        second: String,
    },
    /// A callback has a state, but no key to save it under.
    #[error("callback {callback}: expected a key for its state, got none; implement `Callback::key`")]
    MissingKey {
        /// Name of the callback.
        callback: String,
    },
    /// A value cannot be logged under this name.
    #[error("log `{name}`: expected {expected}")]
    LogName {
        /// The name.
        name: String,
        /// The accepted names.
        expected: String,
    },
    /// A tensor could not be read.
    #[error("{name}: {}", torch_message(error))]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// The error of libtorch.
        error: tch::TchError,
    },
    /// A TensorBoard event could not be created.
    #[error("TensorBoard: {message}")]
    TensorBoard {
        /// Description of the failure.
        message: String,
    },
    /// The process already has a global `tracing` subscriber.
    #[error("cannot initialize console logging: {0}")]
    Console(tracing_subscriber::util::TryInitError),
    /// A hook returned another error, or panicked.
    #[error(transparent)]
    Hook(#[from] HookError),
}

impl Error {
    /// Creates an [`Error::Io`] for a file or directory.
    pub fn io(path: impl Into<PathBuf>, error: std::io::Error) -> Self {
        Self::Io { path: path.into(), error }
    }

    /// Creates an [`Error::Tensor`] for a tensor.
    pub(crate) fn tensor(name: impl Into<String>, error: tch::TchError) -> Self {
        Self::Tensor { name: name.into(), error: strip_frames(error) }
    }
}

/// An error of a hook, with the name of the callback and the location in the run.
///
/// Its message includes those of [`error`](Self::error) and its causes, so it has no
/// [`source`](std::error::Error::source).
#[derive(Debug)]
pub struct HookError {
    /// Name of the callback.
    pub callback: String,
    /// Name of the hook: `on_epoch_end`.
    pub hook: &'static str,
    /// The epoch, from 1; 0 before the first epoch, and when a state is saved or restored.
    pub epoch: usize,
    /// Optimizer steps since the start of the run.
    pub step: u64,
    /// The error that the hook returned.
    pub error: BoxError,
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { callback, hook, epoch, step, error } = self;
        let error = describe(&**error);
        match epoch {
            0 => write!(f, "{callback}: {error} (in {hook})"),
            _ => write!(f, "{callback}: {error} (in {hook}, epoch {epoch}, step {step})"),
        }
    }
}

impl std::error::Error for HookError {}
