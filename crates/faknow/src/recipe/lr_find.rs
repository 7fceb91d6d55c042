//! Which learning rate the training that a config describes can take.

use faknow_trainer::{LrCurve, LrRange};

use super::Config;
use super::train::Job;
use crate::{Error, Result};

/// Makes a learning-rate range test with the data, model and optimizer of `config`; nothing is kept or written.
///
/// # Errors
/// The range, the config or a file of records is wrong, or training fails; see [`Error::is_input`].
pub fn lr_find(config: &Config, range: &LrRange) -> Result<LrCurve> {
    range.validate().map_err(Error::named)?;
    let (mut trainer, train) = Job::prepare(config, None)?.into_trial()?;
    Ok(trainer.lr_range_test(&train, range)?)
}
