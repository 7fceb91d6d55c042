#![doc = include_str!("../README.md")]

pub use faknow_callbacks as callbacks;
pub use faknow_metrics as metrics;
pub use faknow_model as model;
pub use faknow_report as report;
pub use faknow_trainer as trainer;
pub use faknow_trainer::serde_json;
pub use tch;

pub mod config;
pub mod data;
pub mod detector;
mod error;
mod files;
pub mod models;
pub mod prelude;
pub mod settings;
pub mod study;
pub mod tools;
pub mod train;

pub use config::Config;
pub use detector::{Detector, Prediction};
pub use error::{Error, Result};
pub use train::{resume, train};
