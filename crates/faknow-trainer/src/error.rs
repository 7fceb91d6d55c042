//! Errors of training, with phase, epoch and batch.

use std::path::PathBuf;

use faknow_callbacks::Phase;
use faknow_data::common::{
    OtherError, describe, printable_path, strip_any_frames, strip_frames, torch_message,
};
use faknow_data::from_other_errors;

use crate::checkpoint::changes::ChangeKind;

/// Result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of `faknow-trainer`. Files that the run has written stay in the run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("{name}: expected {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        name: String,
        /// The values that are valid.
        expected: String,
        /// The value that was given.
        got: String,
    },
    /// A loader has no batches.
    #[error("the {phase} loader has no batches: {hint}")]
    EmptyLoader {
        /// `training`, `validation` or `test`.
        phase: &'static str,
        /// How to fix it.
        hint: &'static str,
    },
    /// A batch without labels where the loss is needed.
    #[error(
        "{location}: the batch has no labels, but its loss is needed; name the label column, or use `predict`"
    )]
    NoLabels {
        /// Phase, epoch and batch.
        location: Location,
    },
    /// The model returned no loss for training, and nothing else computes one.
    #[error(
        "{location}: the model returned no loss; return one from `forward` (it may need labels in the batch), or train with a \
         `Criterion` or a step that computes it"
    )]
    NoLoss {
        /// Phase, epoch and batch.
        location: Location,
    },
    /// A batch could not be read, or another operation on data failed.
    #[error("{}{source}", prefix(*location))]
    Data {
        /// Phase, epoch and batch, if it happened in a pass over data.
        location: Option<Location>,
        /// The cause.
        r#source: faknow_data::Error,
    },
    /// The model failed on a batch, or its weights could not be saved or loaded.
    #[error("{}{source}", prefix(*location))]
    Model {
        /// Phase, epoch and batch, if it happened in a pass over data.
        location: Option<Location>,
        /// The cause.
        r#source: faknow_model::Error,
    },
    /// libtorch failed on a batch, or a custom model, loader or step panicked.
    #[error("{location}: {message}")]
    Panic {
        /// Phase, epoch and batch.
        location: Location,
        /// First line of the panic message.
        message: String,
    },
    /// A custom training step failed; `?` converts common errors, [`Error::other`] any error.
    #[error("{}{}", prefix(*location), describe(&**error))]
    Other {
        /// Phase, epoch and batch, which the trainer adds.
        location: Option<Location>,
        /// The cause.
        error: OtherError,
    },
    /// The loss of a batch is NaN or infinite; the weights were not updated.
    #[error(
        "{location}: the loss is {loss}{}; {}; learning rate {learning_rate}: try a lower one, gradient \
         clipping (`trainer.clip_norm`) or clean inputs",
        parts.iter().map(|(name, value)| format!(", {name} {value}")).collect::<String>(),
        match parameter {
            Some(name) => format!("the weights `{name}` are not finite"),
            None => "all weights are finite".to_owned(),
        }
    )]
    NonFiniteLoss {
        /// Phase, epoch and batch.
        location: Location,
        /// The total loss.
        loss: f64,
        /// The parts of the loss.
        parts: Vec<(&'static str, f64)>,
        /// Learning rate of the first parameter group.
        learning_rate: f64,
        /// The first weight or buffer (running statistics), by name, that is not finite.
        parameter: Option<String>,
    },
    /// The gradients are NaN or infinite although the loss is finite; the weights were not updated.
    #[error(
        "{}the gradient of `{parameter}` is not finite (global norm {norm}); learning rate {learning_rate}: try a lower \
         one or clipping by value (`trainer.clip_value`), and check the model for operations such as log(0) or 0/0",
        prefix(*location)
    )]
    NonFiniteGradient {
        /// Phase, epoch and batch, if the trainer took the step.
        location: Option<Location>,
        /// The first parameter, in the order of names, whose gradient is not finite.
        parameter: String,
        /// Global norm of the gradients.
        norm: f64,
        /// Learning rate of the first parameter group.
        learning_rate: f64,
    },
    /// A loss or gradient is NaN or infinite in an update whose check was deferred, as on a GPU; this update and those after it
    /// did not change the weights.
    #[error(
        "{}the loss or a gradient of update {update} is not finite; the weights are those before it; learning rate \
         {learning_rate}: try a lower one, gradient clipping (`trainer.clip_norm`) or clean inputs; if `on_non_finite` is \
         `skip` or `roll_back`, each update is checked and the message names batch and parameter",
        prefix(*location)
    )]
    NonFiniteUpdate {
        /// Phase, epoch and batch of the check, if the trainer made it.
        location: Option<Location>,
        /// The update, from 1: of the run, or since the last check of an optimizer outside of a run.
        update: u64,
        /// Learning rate of the first parameter group.
        learning_rate: f64,
    },
    /// The model's class scores are NaN: its weights or inputs are not finite.
    #[error(
        "{location}: the model's class scores are NaN, {}",
        match tensor {
            Some(name) => format!("since its tensor `{name}` is not finite"),
            None => "so its weights or its inputs are not finite".to_owned(),
        }
    )]
    NonFiniteScores {
        /// Phase, epoch and batch.
        location: Location,
        /// The first weight or buffer (running statistics), by name, that is not finite, if known.
        tensor: Option<String>,
    },
    /// The run was asked to stop, see [`Interrupt`](crate::Interrupt).
    #[error("interrupted")]
    Interrupted,
    /// The handler of Ctrl-C and other signals could not be installed.
    #[error("cannot handle Ctrl-C and other signals: {message}")]
    Signals {
        /// The cause.
        message: String,
    },
    /// A saved state does not fit the part of the run that it belongs to.
    #[error("the {part}'s saved state does not fit: {message}")]
    State {
        /// The part of the run, such as `optimizer`.
        part: &'static str,
        /// The mismatch.
        message: String,
    },
    /// A run was resumed with other data or another model or config than it was started with.
    #[error(
        "the {what} changed since the run started: {difference}; restore it, or allow the change explicitly (`--allow {what}`)"
    )]
    Changed {
        /// `data`, `model` or `config`.
        what: ChangeKind,
        /// Old and new value.
        difference: String,
    },
    /// A setting of a resumed run has changed that no run can change.
    #[error("a resumed run keeps this setting: {difference}; {remedy}")]
    Fixed {
        /// Old and new value.
        difference: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// The weights of a resumed run do not fit the model.
    #[error(
        "the weights of the run do not fit the model: {difference}; restore its settings, or start a new run"
    )]
    ModelMismatch {
        /// Old and new value.
        difference: String,
    },
    /// The run directory cannot be used.
    #[error("run directory {path}: {message}", path = printable_path(path))]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong and how to fix it.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = printable_path(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        r#source: std::io::Error,
    },
    /// A callback failed.
    #[error(transparent)]
    Callback(#[from] faknow_callbacks::Error),
    /// A metric failed or panicked.
    #[error("{}{source}", prefix(*location))]
    Metric {
        /// Phase, epoch and last batch, if it was computed in a pass over data.
        location: Option<Location>,
        /// The cause.
        r#source: faknow_metrics::Error,
    },
    /// A checkpoint could not be written or read, or is corrupted.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// The settings of a schedule are invalid.
    #[error(transparent)]
    Schedule(#[from] crate::schedule::ScheduleError),
    /// A libtorch operation outside of any batch failed.
    #[error("libtorch: {}", torch_message(.0))]
    Torch(tch::TchError),
}

from_other_errors!(Error);

impl From<faknow_data::Error> for Error {
    fn from(source: faknow_data::Error) -> Self {
        Self::Data { location: None, source }
    }
}

impl From<faknow_model::Error> for Error {
    fn from(source: faknow_model::Error) -> Self {
        Self::Model { location: None, source }
    }
}

impl From<faknow_metrics::Error> for Error {
    fn from(source: faknow_metrics::Error) -> Self {
        Self::Metric { location: None, source }
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(strip_frames(error))
    }
}

impl Error {
    /// Wraps any error or message as [`Error::Other`].
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other { location: None, error: strip_any_frames(error.into()) }
    }

    /// Adds a location to an error that has none.
    pub(crate) fn with_location(self, location: Location) -> Self {
        match self {
            Self::Torch(source) => Self::Model { location: Some(location), source: source.into() },
            Self::Data { location: None, source } => Self::Data { location: Some(location), source },
            Self::Model { location: None, source } => Self::Model { location: Some(location), source },
            Self::Metric { location: None, source } => Self::Metric { location: Some(location), source },
            Self::Other { location: None, error } => Self::Other { location: Some(location), error },
            Self::NonFiniteGradient { location: None, parameter, norm, learning_rate } => {
                Self::NonFiniteGradient { location: Some(location), parameter, norm, learning_rate }
            }
            other => other,
        }
    }
}

/// Returns the location as the start of a message.
fn prefix(location: Option<Location>) -> String {
    location.map(|location| format!("{location}: ")).unwrap_or_default()
}

/// A position in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The phase: training, validation or test.
    pub phase: Phase,
    /// The epoch, from 1; 0 outside of a fit.
    pub epoch: usize,
    /// The batch of the pass, from 1.
    pub batch: usize,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, ", phase_name(self.phase))?;
        if self.epoch > 0 {
            write!(f, "epoch {}, ", self.epoch)?;
        }
        write!(f, "batch {}", self.batch)
    }
}

pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Train => "training",
        Phase::Valid => "validation",
        Phase::Test => "test",
    }
}

pub(crate) fn setting(name: &str, expected: &str, got: impl ToString) -> Error {
    Error::Setting { name: name.to_owned(), expected: expected.to_owned(), got: got.to_string() }
}
