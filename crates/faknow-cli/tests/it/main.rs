//! The `faknow` program from the outside: its arguments, files, output and exit codes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod bad_files;
mod bad_settings;
mod commands;
mod config;
mod formats;
mod kill;
mod predict;
mod resume;
mod same_run;
mod selection;
mod serve;
mod support;
mod tools;
mod train;
mod trees;
