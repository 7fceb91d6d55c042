#![doc = include_str!("../README.md")]

mod api_error;
mod app;
mod body;
mod config;
mod error;
mod metrics;
mod openapi;
mod page;
mod predict;
mod predictor;
mod queue;
mod request;
mod server;
#[cfg(test)]
#[path = "../../skip.rs"]
mod skip;
mod text_item;
mod unique;
mod worker;

pub use config::ServeConfig;
pub use error::{Error, Result};
pub use predictor::{InputKind, ModelInfo, Predictor};
pub use server::Server;
