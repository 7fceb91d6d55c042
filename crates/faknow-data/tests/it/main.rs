//! Integration tests of `faknow-data`, one binary since each links libtorch.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "these are tests: a panic names the failure, and what is skipped is said loudly"
)]

mod fields;
mod graph;
mod inspect;
mod loader;
mod record;
mod shared_data;
mod support;
mod synth;
mod tensors;
mod text;

mod text_storage;
mod word_fields;
mod word_vectors;
