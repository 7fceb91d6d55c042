//! What the model that a config describes consists of.

use faknow_model::Summary;

use super::Config;
use super::train::Job;
use crate::Result;

/// The parameters of the model of `config`, whose sizes depend on the data, with the memory of its optimizer.
///
/// # Errors
/// The config or a file of records is wrong.
pub fn model_summary(config: &Config) -> Result<Summary> {
    Ok(Job::prepare(config, None)?.model_summary())
}
