//! End-to-end tests of the `faknow` program: arguments, files, output, exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failing test shows the line, and a skipped test says so"
)]

mod bad_files;
mod bad_settings;
mod columns;
mod commands;
mod config;
mod displays;
mod domains;
mod encoder_commands;
mod example_configs;
mod examples;
mod formats;
mod full_disk;
mod hostile_files;
mod kill;
mod locks;
mod predict;
mod predict_output;
mod prepare;
mod recognition;
mod record_fields;
mod remedies;
mod resume;
mod same_run;
mod selection;
mod serve;
mod server_process;
mod shared_cases;
mod signals;
#[path = "../../../skip.rs"]
mod skip;
mod support;
#[path = "../../../faknow/tests/it/tiny_encoder.rs"]
mod tiny_encoder;
mod tools;
mod train;
mod trees;
