//! Which batch sizes the training that a config describes can take, and how fast it is with them.

use std::cmp::Reverse;

use faknow_data::{DataLoader, Dataset};
use faknow_trainer::{BatchSizeSearch, BatchSizes, available_memory};

use super::Config;
use super::train::Job;
use crate::{Error, Result};

/// Searches for a batch size with the longest training texts, the model and the optimizer of `config`; nothing is kept
/// or written.
///
/// A batch of a size is made of so many of the longest texts. No size is above the number of texts. Without a limit of
/// its own the memory may grow to nine tenths of what is available, where the system tells.
///
/// # Errors
/// The search, the config or a file of records is wrong, or training fails; see [`Error::is_input`].
pub fn find_batch_size(config: &Config, search: &BatchSizeSearch) -> Result<BatchSizes> {
    search.validate().map_err(Error::named)?;
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
        let texts = data.subset(&order[..batch_size])?;
        DataLoader::builder(texts).batch_size(batch_size).prefetch(0, 0).build()
    };
    Ok(trainer.find_batch_size(&search, longest)?)
}
