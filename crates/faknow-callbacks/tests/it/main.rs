//! Integration tests of the callbacks, with a minimal training loop.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests panic and print as tests do"
)]

mod common;
/// Hooks: order, stops, errors, panics.
mod contract;
/// Early stopping: the rule compared with golden series, settings.
mod displays;
mod early_stopping;
/// `metrics.csv`, `history.jsonl`, `run.log`: contents, crashes, resume, errors.
mod files;
/// Freezing of weights.
mod freeze;
/// Separate logs of runs that share a process.
mod isolation;
#[path = "../../../skip.rs"]
mod skip;
/// TensorBoard event files.
mod tensorboard;
