//! Optimizers behind one interface: gradients are clipped and measured in every step, whoever takes it.

mod clip;
mod config;
mod fused;
mod gradients;
mod groups;
mod kernels;
mod memory;
mod operations;
mod optimizer;
mod parameter;
mod rule;
mod setters;
mod state;
mod taken;
mod window;

pub use clip::Clip;
pub use config::{Adagrad, Adam, AdamW, OptimizerConfig, RmsProp, Sgd};
pub use groups::{Group, ParameterGroup};
pub use optimizer::Optimizer;
pub(crate) use optimizer::check_pattern;
pub(crate) use state::copy;
pub use taken::Gradients;
pub use window::AccumulationWindow;
