//! The `faknow` program: train, test and use fake-news detectors from the command line.

use std::process::ExitCode;

use faknow::models::Registry;

fn main() -> ExitCode {
    faknow_cli::main_with(Registry::builtin())
}
