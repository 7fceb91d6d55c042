//! Integration tests of the pipeline: configs, data, training, detectors, studies.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failing test reports its location, and a skipped test says so"
)]

mod baseline;
mod concurrency;
mod config;
mod cross_validation;
mod data;
mod decision;
mod detector;
mod documentation;
mod encoder;
mod encoder_features;
mod error_text;
mod explanations;
mod features;
mod files;
mod full_disk;
mod leaks;
mod linear;
mod registry;
mod resume_cases;
mod resume_settings;
mod run_files;
mod schedules;
mod search;
#[path = "../../../skip.rs"]
mod skip;
mod support;
mod text_storage;
mod tiny_encoder;
mod training;
mod trees;
mod weights;
