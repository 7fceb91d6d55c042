//! The models that a config can name.

pub(crate) mod registry;

use faknow_data::FieldBatch;
use faknow_model::Model;
pub use registry::{ModelInfo, model_info, models};

/// A model that the registry builds, whichever it is.
pub type InputModel = Box<dyn Model<Batch = FieldBatch>>;
