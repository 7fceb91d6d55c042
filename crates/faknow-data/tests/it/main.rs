//! Integration tests of `faknow-data`, in one binary, as each binary links libtorch.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail by panicking and report skipped checks on standard error"
)]

mod columns;
mod delimited;
mod emotion;
mod fasttext;
mod fields;
mod graph;
mod image_fields;
mod image_files;
mod inspect;
mod loader;
mod news_graph;
mod ngrams;
mod raw;
mod raw_threads;
mod recognize;
mod record;
mod record_features;
mod shared_data;
#[path = "../../../skip.rs"]
mod skip;
mod subwords;
mod support;
mod synth;
mod tables;
mod tensors;
mod text;
mod text_storage;
mod word_fields;
mod word_vectors;
