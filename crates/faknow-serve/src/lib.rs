#![doc = include_str!("../README.md")]

mod app;
mod body;
mod config;
mod error;
mod judge;
mod metrics;
mod page;
mod predict;
mod queue;
mod refusal;
mod request;
mod server;

pub use config::ServeConfig;
pub use error::{Error, Result};
pub use judge::{About, Explained, Judge, NodePart, Reads, Sample, TreeExplanation};
pub use server::Server;
