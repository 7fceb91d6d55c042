//! Tools before a run: model summary, learning-rate range test, search for a batch size.

use std::cmp::Reverse;

use faknow_data::{DataLoader, Dataset};
use faknow_model::Summary;
use faknow_trainer::{BatchSizeSearch, BatchSizes, LrCurve, LrRange, available_memory};

use crate::config::Config;
use crate::train::job::Job;
use crate::{Error, Result};

/// Returns the parameters of the model of `config`, with the memory of its optimizer. The data is read, since sizes depend
/// on it.
///
/// # Errors
/// The config or a data file is invalid.
pub fn model_summary(config: &Config) -> Result<Summary> {
    Ok(Job::prepare(config, None)?.model_summary())
}

/// Runs a learning-rate range test with the data, model and optimizer of `config`; nothing is saved.
///
/// # Errors
/// The range, the config or a data file is invalid, the model is trained without a learning rate, or training fails; see
/// [`Error::is_input`].
pub fn lr_find(config: &Config, range: &LrRange) -> Result<LrCurve> {
    range.validate().map_err(Error::from_trainer)?;
    if !config.uses_gradients()? {
        let message = format!(
            "expected a model with a learning rate, got `{}`, which is trained without gradients and needs none; train it with \
             `faknow train`, and search for `model.c` with `faknow search`",
            config.model.name
        );
        return Err(Error::config("model.name", message));
    }
    let (mut trainer, train) = Job::prepare(config, None)?.into_trial()?;
    Ok(trainer.lr_range_test(&train, range)?)
}

/// Searches for a batch size with the longest training samples, the model and the optimizer of `config`; nothing is saved.
///
/// A batch of size n consists of the n longest samples, so the size is at most the number of samples. Without a memory
/// limit in `search`, the limit is 90 % of the available memory, if the system reports it.
///
/// # Errors
/// The search, the config or a data file is invalid, or training fails; see [`Error::is_input`].
pub fn find_batch_size(config: &Config, search: &BatchSizeSearch) -> Result<BatchSizes> {
    search.validate().map_err(Error::from_trainer)?;
    let (mut trainer, train) = Job::prepare(config, None)?.into_trial()?;
    let data = train.dataset();
    let mut order: Vec<usize> = (0..data.n_samples()).collect();
    order.sort_by_key(|&index| Reverse(data.length(index)));
    let search = BatchSizeSearch {
        min: search.min.min(order.len()),
        max: search.max.min(order.len()),
        memory_limit: search.memory_limit.or_else(|| Some(available_memory()? / 10 * 9)),
        ..*search
    };
    let longest = |batch_size: usize| {
        let samples = data.subset(&order[..batch_size])?;
        DataLoader::builder(samples).batch_size(batch_size).prefetch(0, 0).build()
    };
    Ok(trainer.find_batch_size(&search, longest)?)
}
