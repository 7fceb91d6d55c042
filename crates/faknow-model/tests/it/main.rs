//! Integration tests of faknow-model: equality with PyTorch, and what a model does with odd batches.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod criterion;
mod golden;
mod golden_gnncl;
mod golden_trustrd;
mod pickles;
mod pytorch;
mod social;
mod textcnn;
