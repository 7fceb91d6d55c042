//! Callbacks of a training run: early stopping, freezing, progress, logs, TensorBoard.
//!
#![doc = include_str!("../README.md")]

mod best;
mod callback;
mod callbacks;
mod caught;
mod collect;
mod error;
mod events;
mod flow;
mod format;
mod freeze;
mod interval;
mod lambda;
mod logged;
mod logs;
mod monitor;
mod name_pattern;
mod patience;
mod progress;
mod recorder;
mod run;
mod state;
mod stopping;
#[cfg(feature = "tensorboard")]
mod tensorboard;

pub use best::{BestTracker, Margin};
pub use callback::Callback;
pub use callbacks::Callbacks;
pub use error::{BoxError, Error, HookError, HookResult, Result};
pub use events::{BatchEnd, FitEnd, FitStart, PassProgress, Phase, SavedCheckpoint};
pub use flow::{Flow, StopReason};
pub use format::{format_duration, format_utc};
pub use freeze::{Freeze, FreezeRule};
pub use interval::{Interval, IntervalUnit, IntoInterval, ParseIntervalError, Timestamp};
pub use lambda::{OnBatchEnd, OnEpochEnd, on_batch_end, on_epoch_end};
pub use logged::LoggedValues;
pub use logs::csv::CsvLog;
pub use logs::jsonl::JsonlLog;
pub use logs::layer::{RUN_TARGET, RunLogLayer};
pub use logs::run_log::RunLog;
pub use monitor::{Monitor, MonitorChoice, canonical_monitor_name};
pub use name_pattern::NamePattern;
pub use patience::Patience;
pub use progress::bar::Progress;
pub use progress::console::{console_subscriber, init_console};
pub use progress::writer::ProgressWriter;
pub use recorder::{Event, Recorder};
pub use run::{Best, Run, RunOwner, RunProgress, RunSetup, SettingChange};
pub use state::State;
pub use stopping::early_stopping::EarlyStopping;
#[cfg(feature = "tensorboard")]
pub use tensorboard::{Scalar, TensorBoard, read_scalars};
pub use tracing::level_filters::LevelFilter;
