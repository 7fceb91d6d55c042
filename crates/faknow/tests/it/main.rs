//! The pipeline from the outside: configs, data of a run, training, and the detector that comes of it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should say where, and one that is skipped should say so"
)]

mod config;
mod cross_validation;
mod data;
mod detector;
mod documentation;
mod judging;
mod registry;
mod search;
mod side_by_side;
mod support;
mod text_storage;
mod training;
mod trees;
mod weights;
