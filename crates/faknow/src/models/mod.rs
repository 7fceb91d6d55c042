//! The models that a config can name.

pub(crate) mod registry;

pub use crate::data::input::{InputBatch, InputModel};
pub use registry::{ModelInfo, model_info, models};
