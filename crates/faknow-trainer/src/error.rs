//! What can go wrong in training, said with the phase, the epoch and the batch.

use std::path::PathBuf;

use faknow_callbacks::Phase;
use faknow_data::common::{OtherError, describe, strip_frames, torch_message};
use faknow_data::from_other_errors;

use crate::checkpoint::resume::ChangeKind;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of `faknow-trainer`. What a run wrote before it stays in the run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("{name}: expected {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        name: String,
        /// What would be right.
        expected: String,
        /// What was given.
        got: String,
    },
    /// A loader has no batches.
    #[error("the {phase} loader has no batches: {hint}")]
    EmptyLoader {
        /// `training`, `validation` or `test`.
        phase: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A batch needs labels and has none.
    #[error(
        "{location}: the batch has no labels, but its loss is needed; name the label column, or use `predict`"
    )]
    NoLabels {
        /// Phase, epoch and batch.
        location: Location,
    },
    /// The model gave no loss for a batch with labels, and nothing else computes one.
    #[error(
        "{location}: the model returned no loss for labeled data; return one from `forward`, or train with a `Criterion` \
         or a step that computes it"
    )]
    NoLoss {
        /// Phase, epoch and batch.
        location: Location,
    },
    /// A batch could not be read, or something else about the data failed.
    #[error("{}{source}", prefix(*location))]
    Data {
        /// Phase, epoch and batch, if it happened in a pass over data.
        location: Option<Location>,
        /// What went wrong.
        r#source: faknow_data::Error,
    },
    /// The model failed on a batch, or its weights could not be saved or loaded.
    #[error("{}{source}", prefix(*location))]
    Model {
        /// Phase, epoch and batch, if it happened in a pass over data.
        location: Option<Location>,
        /// What went wrong.
        r#source: faknow_model::Error,
    },
    /// libtorch failed on a batch, or a model, loader or step of the user's own panicked.
    #[error("{location}: {message}")]
    Panic {
        /// Phase, epoch and batch.
        location: Location,
        /// The first line of the panic's message.
        message: String,
    },
    /// A custom training step failed; `?` makes it of any common error, [`Error::other`] of every error.
    #[error("{}{}", prefix(*location), describe(&**error))]
    Other {
        /// Phase, epoch and batch, which the trainer adds.
        location: Option<Location>,
        /// What went wrong.
        error: OtherError,
    },
    /// The loss of a batch is NaN or infinite; the weights were not updated from it.
    #[error(
        "{location}: the loss is {loss}{}; {}; learning rate {learning_rate}: a lower one, gradient clipping \
         (`trainer.clip_norm`) or clean inputs may help",
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
    /// The gradients are NaN or infinite although the loss is finite; the weights were not updated from them.
    #[error(
        "{}the gradient of `{parameter}` is not finite (norm of all: {norm}); learning rate {learning_rate}: a lower \
         one or clipping the gradients by value (`trainer.clip_value`) may help, if the model's formula is sound",
        prefix(*location)
    )]
    NonFiniteGradient {
        /// Phase, epoch and batch, if the trainer took the step.
        location: Option<Location>,
        /// The first parameter, in the order of names, whose gradient is not finite.
        parameter: String,
        /// The global norm.
        norm: f64,
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
        /// The first weight or buffer (running statistics), by name, that is not finite, if the trainer knows it.
        tensor: Option<String>,
    },
    /// Someone asked for the end, see [`Interrupt`](crate::Interrupt).
    #[error("interrupted")]
    Interrupted,
    /// The signals that end a program are handled elsewhere.
    #[error("cannot handle Ctrl-C and SIGTERM: {message}")]
    Signals {
        /// What the system said.
        message: String,
    },
    /// A saved state does not fit the part of the run that it is to be restored into.
    #[error("the {part}'s saved state does not fit: {message}")]
    State {
        /// Which part.
        part: &'static str,
        /// What does not fit, and what would.
        message: String,
    },
    /// A run was resumed with something else than it was started with.
    #[error(
        "the {what} changed since the run started: {difference}; restore it, or allow the change explicitly (`--allow {what}`)"
    )]
    Changed {
        /// `data`, `model` or `config`.
        what: ChangeKind,
        /// What was and what is.
        difference: String,
    },
    /// A run was resumed with a model that its weights do not fit.
    #[error(
        "the weights of the run do not fit the model: {difference}; restore its settings, or start a new run"
    )]
    ModelMismatch {
        /// What was and what is.
        difference: String,
    },
    /// The run directory cannot be used.
    #[error("run directory {path}: {message}", path = path.display())]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what would be right.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        r#source: std::io::Error,
    },
    /// A callback failed.
    #[error(transparent)]
    Callback(#[from] faknow_callbacks::Error),
    /// A metric failed.
    #[error(transparent)]
    Metric(#[from] faknow_metrics::Error),
    /// A checkpoint could not be written, found or trusted.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// A schedule is ill-configured.
    #[error(transparent)]
    Schedule(#[from] crate::schedule::ScheduleError),
    /// libtorch refused an operation outside of any batch.
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

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(strip_frames(error))
    }
}

impl Error {
    /// An [`Error::Other`] of any error or message.
    pub fn other(error: impl Into<OtherError>) -> Self {
        Self::Other { location: None, error: error.into() }
    }

    /// Returns the same error with the location where it happened, if it does not name one already.
    pub(crate) fn located(self, here: Location) -> Self {
        match self {
            Self::Torch(source) => Self::Model { location: Some(here), source: source.into() },
            Self::Data { location: None, source } => Self::Data { location: Some(here), source },
            Self::Model { location: None, source } => Self::Model { location: Some(here), source },
            Self::Other { location: None, error } => Self::Other { location: Some(here), error },
            Self::NonFiniteGradient { location: None, parameter, norm, learning_rate } => {
                Self::NonFiniteGradient { location: Some(here), parameter, norm, learning_rate }
            }
            other => other,
        }
    }
}

/// The location at the start of a message.
fn prefix(location: Option<Location>) -> String {
    location.map(|location| format!("{location}: ")).unwrap_or_default()
}

/// Where in a run something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Training, validation or test.
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
