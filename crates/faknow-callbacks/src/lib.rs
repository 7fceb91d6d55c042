//! Callbacks that watch a training run: early stopping, progress, logs, TensorBoard.
//!
#![doc = include_str!("../README.md")]

mod best;
#[cfg(feature = "tensorboard")]
mod board_summaries;
mod callback;
#[cfg(feature = "tensorboard")]
mod confusion_picture;
mod console;
mod csv_log;
mod early_stopping;
mod error;
#[cfg(feature = "tensorboard")]
mod event_file;
mod flow;
mod freeze;
#[cfg(feature = "tensorboard")]
mod hparams;
mod jsonl_log;
mod lambda;
mod log_layer;
mod monitor;
mod name_pattern;
mod pass;
mod patience;
mod progress;
mod progress_writer;
mod recorder;
mod run;
mod run_file;
mod run_log;
mod span;
mod state;

#[cfg(feature = "tensorboard")]
mod tensorboard;
mod text;

pub use best::{BestTracker, Margin};
pub use callback::{Callback, Callbacks};
pub use console::{console_subscriber, init_console};
pub use csv_log::CsvLog;
pub use early_stopping::EarlyStopping;
pub use error::{Error, Result};
#[cfg(feature = "tensorboard")]
pub use event_file::{Scalar, read_scalars};
pub use flow::{Flow, StopReason};
pub use freeze::{Freeze, FreezeRule};
pub use jsonl_log::JsonlLog;
pub use lambda::{OnBatchEnd, OnEpochEnd, on_batch_end, on_epoch_end};
pub use log_layer::{RUN_TARGET, RunLogLayer};
pub use monitor::Monitor;
pub use name_pattern::NamePattern;
pub use patience::Patience;
pub use progress::Progress;
pub use progress_writer::ProgressWriter;
pub use recorder::{Event, Recorder};
pub use run::{BatchEnd, Best, Phase, Run, SavedCheckpoint};
pub use run_log::RunLog;
pub use span::{Position, Span, SpanUnit};
pub use state::State;

#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;
pub use text::{format_duration, format_utc};
pub use tracing::level_filters::LevelFilter;
