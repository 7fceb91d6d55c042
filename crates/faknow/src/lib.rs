#![doc = include_str!("../README.md")]

pub use faknow_callbacks as callbacks;
pub use faknow_data as data;
pub use faknow_metrics as metrics;
pub use faknow_model as model;
pub use faknow_report as report;
pub use faknow_trainer as trainer;
pub use tch;

mod error;
pub mod prelude;
pub mod recipe;

pub use error::{Error, Result};
