//! The search for a batch size: which sizes fit into memory, and which is the fastest.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Instant;

use faknow_data::{Batch, Loader};
use faknow_model::{Model, format_bytes};
use serde::{Deserialize, Serialize};
use tch::{Cuda, Device};

use crate::error::setting;
use crate::system::memory;
use crate::{Error, Result, Trainer};

/// By how much a size must be faster than all before it to count as faster.
const FASTER: f64 = 1.05;

/// Sizes in a row that are not faster, after which the search ends.
const PATIENCE: usize = 2;

/// A search for a batch size: from `min` on each size is twice the one before.
///
/// It ends where a size does not fit into memory, would probably not, or two sizes in a row are less than 5 % faster
/// than the best before them. It knows nothing of how well a model learns from batches of a size.
///
/// ```
/// use faknow_trainer::{BatchSizeEnd, BatchSizeSearch, BatchSizeTrial};
///
/// // A machine that is at its best from 64 samples on.
/// let sizes = BatchSizeSearch::default().run(|batch_size| {
///     let samples_per_second = 1000.0 * batch_size.min(64) as f64;
///     Ok(BatchSizeTrial { batch_size, samples_per_second, peak_memory: None })
/// })?;
/// assert_eq!((sizes.suggestion(), sizes.stop_reason), (Some(64), BatchSizeEnd::NoFaster));
/// # Ok::<(), faknow_trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSizeSearch {
    /// The first size, at least 1. Default 8.
    pub min: usize,
    /// The largest size to try, at least `min`. Default 4096.
    pub max: usize,
    /// Updates with each size, at least 1; the fastest counts. Default 5.
    pub steps: usize,
    /// Bytes of memory that the process may have at its peak. Default: no limit.
    pub memory_limit: Option<u64>,
}

impl Default for BatchSizeSearch {
    fn default() -> Self {
        Self { min: 8, max: 4096, steps: 5, memory_limit: None }
    }
}

/// What was measured with a batch size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchSizeTrial {
    /// Samples of a batch.
    pub batch_size: usize,
    /// Samples that training takes in a second.
    pub samples_per_second: f64,
    /// Bytes of memory that the process had at most meanwhile; `None` where the system does not report it, and for
    /// training on another device.
    pub peak_memory: Option<u64>,
}

/// The outcome of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSizes {
    /// The sizes that fit, from the smallest on.
    pub trials: Vec<BatchSizeTrial>,
    /// Why the search ended.
    #[serde(rename = "ended")]
    pub stop_reason: BatchSizeEnd,
}

/// Why a search ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum BatchSizeEnd {
    /// The next size would be above the largest to try.
    Largest,
    /// Larger batches were no faster.
    NoFaster,
    /// The memory did not suffice for this size.
    OutOfMemory {
        /// The size.
        batch_size: usize,
    },
    /// This size would probably have taken more than the limit; it was not tried.
    MemoryLimit {
        /// The size.
        batch_size: usize,
        /// Bytes that it would have taken, by the growth from the sizes before.
        expected: u64,
    },
}

impl fmt::Display for BatchSizeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Largest => write!(f, "the largest size was tried"),
            Self::NoFaster => write!(f, "larger batches are no faster"),
            Self::OutOfMemory { batch_size } => write!(f, "no memory for batches of {batch_size}"),
            Self::MemoryLimit { batch_size, expected } => {
                let expected = format_bytes(*expected);
                write!(f, "batches of {batch_size} would take about {expected}, which is above the limit")
            }
        }
    }
}

impl BatchSizes {
    /// The size to train with: the smallest that is within 5 % of the fastest. `None` if not even the first fits.
    pub fn suggestion(&self) -> Option<usize> {
        let speed = |trial: &BatchSizeTrial| trial.samples_per_second;
        let fastest = self.trials.iter().map(speed).max_by(f64::total_cmp)?;
        let fits = self.trials.iter().find(|trial| speed(trial) * FASTER >= fastest)?;
        Some(fits.batch_size)
    }
}

impl BatchSizeSearch {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the one that is outside its range.
    pub fn validate(&self) -> Result<()> {
        if self.min == 0 {
            return Err(setting("min", "at least 1", 0));
        }
        if self.max < self.min {
            return Err(setting("max", &format!("at least `min`, {}", self.min), self.max));
        }
        if self.steps == 0 {
            return Err(setting("steps", "at least 1", 0));
        }
        Ok(())
    }

    /// Searches with a custom measurement; an error that reports too little memory ends the search.
    ///
    /// # Errors
    /// A setting is outside its range; any other error of the measurement.
    pub fn run(&self, mut measure: impl FnMut(usize) -> Result<BatchSizeTrial>) -> Result<BatchSizes> {
        self.validate()?;
        let mut trials: Vec<BatchSizeTrial> = Vec::new();
        let mut fastest = 0.0;
        let mut n_slower = 0;
        let mut batch_size = self.min;
        let stop_reason = loop {
            if batch_size > self.max {
                break BatchSizeEnd::Largest;
            }
            let expected = expected_memory(&trials);
            if let (Some(limit), Some(expected)) = (self.memory_limit, expected)
                && expected > limit
            {
                break BatchSizeEnd::MemoryLimit { batch_size, expected };
            }
            let trial = match measure(batch_size) {
                Ok(trial) => trial,
                Err(error) if is_out_of_memory(&error) => break BatchSizeEnd::OutOfMemory { batch_size },
                Err(error) => return Err(error),
            };
            trials.push(trial);
            n_slower = if trial.samples_per_second > FASTER * fastest { 0 } else { n_slower + 1 };
            fastest = trial.samples_per_second.max(fastest);
            if n_slower == PATIENCE {
                break BatchSizeEnd::NoFaster;
            }
            batch_size = batch_size.saturating_mul(2);
        };
        Ok(BatchSizes { trials, stop_reason })
    }
}

impl<M: Model> Trainer<M> {
    /// Tries batch sizes, each in a few updates from the batches of the loader that `loader` makes for it. The
    /// batches should be the longest there are, which take the most memory; to be fair, all of one size.
    ///
    /// Callbacks are not called. Afterwards weights, optimizer and run are as they were, also after an error;
    /// gradients are dropped.
    ///
    /// # Errors
    /// A setting is outside its range; a loader, a batch or the model fails for another reason than too little
    /// memory; someone asked for the end.
    pub fn find_batch_size<L: Loader<M::Batch>>(
        &mut self,
        search: &BatchSizeSearch,
        mut loader: impl FnMut(usize) -> faknow_data::Result<L>,
    ) -> Result<BatchSizes> {
        self.tried(|trainer| {
            search.run(|batch_size| {
                let location = crate::Location::training(1, 1);
                let loader = loader(batch_size).map_err(|error| Error::from(error).located(location))?;
                let trial = trainer.measure(&loader, search.steps)?;
                Ok(BatchSizeTrial { batch_size, ..trial })
            })
        })
    }

    /// Takes a first update, and then measures each of `steps` others.
    fn measure(&mut self, loader: &dyn Loader<M::Batch>, steps: usize) -> Result<BatchSizeTrial> {
        memory::restart_peak();
        let mut fastest = 0.0;
        self.for_each_window(loader, steps + 1, |trainer, step, window| {
            let n_samples: usize = window.iter().map(|(_, batch)| batch.n_samples()).sum();
            let start = Instant::now();
            trainer.update_once(window, step, true)?;
            if let Device::Cuda(device) = trainer.task.device {
                Cuda::synchronize(device as i64);
            }
            // The first one also sets up what later ones find ready.
            if step > 0 {
                fastest = f64::max(fastest, n_samples as f64 / start.elapsed().as_secs_f64());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let peak_memory = if self.task.device == Device::Cpu { memory::peak() } else { None };
        Ok(BatchSizeTrial { batch_size: 0, samples_per_second: fastest, peak_memory })
    }
}

/// The peak that twice the last size would have, if memory keeps growing with the samples as it did. One trial alone
/// says nothing about growth.
fn expected_memory(trials: &[BatchSizeTrial]) -> Option<u64> {
    let [.., before, last] = trials else { return None };
    let (before, last) = (before.peak_memory?, last.peak_memory?);
    Some(last + 2 * last.saturating_sub(before))
}

/// Whether libtorch says, in one of its ways, that there is no memory left.
fn is_out_of_memory(error: &Error) -> bool {
    let message = error.to_string().to_lowercase();
    ["out of memory", "not enough memory", "allocate memory"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;

    const MIB: u64 = 1 << 20;

    /// The sizes that are tried where training is as fast, and takes as much memory, as these say.
    fn search(
        search: BatchSizeSearch,
        speed: impl Fn(usize) -> f64,
        memory: impl Fn(usize) -> Option<u64>,
    ) -> (Vec<usize>, BatchSizeEnd, Option<usize>) {
        let sizes = search.run(|batch_size| {
            let peak_memory = memory(batch_size);
            Ok(BatchSizeTrial { batch_size, samples_per_second: speed(batch_size), peak_memory })
        });
        let sizes = sizes.unwrap();
        let tried = sizes.trials.iter().map(|trial| trial.batch_size).collect();
        let suggestion = sizes.suggestion();
        (tried, sizes.stop_reason, suggestion)
    }

    #[test]
    fn sizes_double_until_larger_ones_are_no_faster() {
        let plain = BatchSizeSearch { min: 8, max: 256, ..BatchSizeSearch::default() };
        let linear = |n: usize| n as f64;
        assert_eq!(
            search(plain, linear, |_| None),
            (vec![8, 16, 32, 64, 128, 256], BatchSizeEnd::Largest, Some(256))
        );
        let flat = |n: usize| n.min(32) as f64;
        assert_eq!(
            search(plain, flat, |_| None),
            (vec![8, 16, 32, 64, 128], BatchSizeEnd::NoFaster, Some(32))
        );
        // One slower size may be chance.
        let bump = |n: usize| if n == 32 { 1.0 } else { n as f64 };
        let (tried, ended, _) = search(plain, bump, |_| None);
        assert_eq!((tried.len(), ended), (6, BatchSizeEnd::Largest));
        // Slow growth below 5 % a size is none, but the best is what all are compared to.
        let slow = |n: usize| 100.0 + 4.0 * (n as f64).log2();
        assert_eq!(search(plain, slow, |_| None), (vec![8, 16, 32], BatchSizeEnd::NoFaster, Some(16)));
        let odd = BatchSizeSearch { min: 3, max: 20, ..plain };
        assert_eq!(search(odd, linear, |_| None).0, [3, 6, 12]);
    }

    #[test]
    fn a_size_that_would_take_too_much_is_not_tried() {
        let limited = |limit| BatchSizeSearch { memory_limit: Some(limit), ..BatchSizeSearch::default() };
        let linear = |n: usize| n as f64;
        // 100 MiB, and one for each sample: 64 samples take 164.
        let memory = |n: usize| Some((100 + n as u64) * MIB);
        let end = BatchSizeEnd::MemoryLimit { batch_size: 64, expected: 164 * MIB };
        assert_eq!(search(limited(163 * MIB), linear, memory), (vec![8, 16, 32], end, Some(32)));
        let (tried, _, _) = search(limited(164 * MIB), linear, memory);
        assert_eq!(tried, [8, 16, 32, 64]);
        // Where the system does not report it, there is no limit.
        assert_eq!(search(limited(1), linear, |_| None).1, BatchSizeEnd::Largest);
    }

    #[test]
    fn a_lack_of_memory_ends_the_search_and_other_errors_are_errors() {
        let location = Location::training(1, 1);
        let check = |message: &str, is_lack: bool| {
            let found = BatchSizeSearch::default().run(|batch_size| {
                if batch_size < 32 {
                    let samples_per_second = batch_size as f64;
                    return Ok(BatchSizeTrial { batch_size, samples_per_second, peak_memory: None });
                }
                Err(Error::Panic { location, message: message.to_owned() })
            });
            match found {
                Ok(sizes) => {
                    assert!(is_lack, "{message}");
                    assert_eq!(sizes.stop_reason, BatchSizeEnd::OutOfMemory { batch_size: 32 });
                    assert_eq!(sizes.suggestion(), Some(16));
                }
                Err(error) => {
                    assert!(!is_lack, "{message}");
                    assert_eq!(error.to_string(), format!("{location}: {message}"));
                }
            }
        };
        check("CUDA out of memory. Tried to allocate 2.00 GiB", true);
        check("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", true);
        check("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes", true);
        check("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", false);
    }

    #[test]
    fn where_nothing_fits_nothing_is_suggested() {
        let lack = Error::Panic { location: Location::training(1, 1), message: "CUDA out of memory".into() };
        let mut lack = Some(lack);
        let sizes = BatchSizeSearch::default().run(|_| Err(lack.take().unwrap())).unwrap();
        assert_eq!(
            (sizes.suggestion(), &sizes.stop_reason),
            (None, &BatchSizeEnd::OutOfMemory { batch_size: 8 })
        );
        assert_eq!(sizes.stop_reason.to_string(), "no memory for batches of 8");
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        let check = |search: BatchSizeSearch, expected: &str| {
            let error = search.run(|_| unreachable!("nothing is measured")).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let plain = BatchSizeSearch::default();
        check(BatchSizeSearch { min: 0, ..plain }, "min: expected at least 1, got 0");
        check(BatchSizeSearch { max: 7, ..plain }, "max: expected at least `min`, 8, got 7");
        check(BatchSizeSearch { steps: 0, ..plain }, "steps: expected at least 1, got 0");
    }
}
