//! Optimizers with one interface: every step measures and clips the gradients.

mod clip;
mod config;
mod deferred;
mod fused;
mod grad_norm;
mod gradients;
mod groups;
mod kernels;
mod memory;
mod operations;
mod optimizer;
mod parameter;
mod paths;
mod rule;
mod setters;
mod state;
mod window;

pub use clip::Clip;
pub use config::{Adagrad, Adam, AdamW, OptimizerConfig, RmsProp, Sgd};
pub use gradients::Gradients;
pub use groups::{Group, ParameterGroup};
pub use optimizer::Optimizer;
pub(crate) use optimizer::check_pattern;
pub(crate) use state::copy;
pub use window::AccumulationWindow;
