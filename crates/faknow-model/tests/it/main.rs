//! Integration tests of faknow-model: equality with PyTorch, invariants and invalid input.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints the number of cases"
)]

mod batch_norm;
mod criterion;
mod golden;
mod golden_gnncl;
mod golden_trustrd;
mod pickles;
mod pytorch;
mod social;
mod textcnn;
