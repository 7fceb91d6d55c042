//! The callbacks, driven by a small loop as a trainer drives them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and speak as tests do"
)]

mod common;
/// Hooks: their order, stopping, failing, panicking.
mod contract;
/// The rule of early stopping against the golden series, and its settings.
mod early_stopping;
/// `metrics.csv`, `history.jsonl`, `run.log`: contents, crash, resume, errors.
mod files;
/// Which weights are frozen, and when.
mod freeze;
/// Runs that share a process do not mix their files.
mod isolation;
/// Event files, read back.
mod tensorboard;
