//! The recipes from the outside: configs, data of a run, training, and the detector that comes of it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod config;
mod data;
mod detector;
mod documentation;
mod support;
mod training;
