//! Batch size search: the sizes that fit into memory, and the fastest of them.

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

/// Factor on the best speed so far above which a size counts as faster.
const MIN_SPEEDUP: f64 = 1.05;

/// Number of consecutive sizes that are not faster after which the search ends.
const PATIENCE: usize = 2;

/// A search for a batch size that starts at `min` and doubles the size in each trial.
///
/// It ends when a size does not fit into memory or is expected not to, or when two consecutive sizes are less than 5 %
/// faster than the best so far. It measures speed and memory only, not how well the model learns.
///
/// ```
/// use faknow_trainer::{BatchSizeEnd, BatchSizeSearch, BatchSizeTrial};
///
/// // Speed grows up to batches of 64 samples.
/// let sizes = BatchSizeSearch::default().run(|batch_size| {
///     let samples_per_second = 1000.0 * batch_size.min(64) as f64;
///     Ok(BatchSizeTrial { batch_size, samples_per_second, peak_memory: None })
/// })?;
/// assert_eq!((sizes.suggestion(), sizes.stop_reason), (Some(64), BatchSizeEnd::NoFaster));
/// # Ok::<(), faknow_trainer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSizeSearch {
    /// First size, at least 1. Default: 8.
    pub min: usize,
    /// Largest size to try, at least `min`. Default: 4096.
    pub max: usize,
    /// Number of timed updates per size, at least 1; the fastest is used. Default: 5.
    pub steps: usize,
    /// Limit on the peak memory of the process in bytes. Default: no limit.
    pub memory_limit: Option<u64>,
}

impl Default for BatchSizeSearch {
    fn default() -> Self {
        Self { min: 8, max: 4096, steps: 5, memory_limit: None }
    }
}

/// The measurements for one batch size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchSizeTrial {
    /// Number of samples per batch.
    pub batch_size: usize,
    /// Training throughput in samples per second.
    pub samples_per_second: f64,
    /// Peak memory of the process in bytes; `None` where the system does not report it, and for training on a device
    /// other than the CPU.
    pub peak_memory: Option<u64>,
}

/// The result of a batch size search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSizes {
    /// The sizes that fit into memory, in ascending order.
    pub trials: Vec<BatchSizeTrial>,
    /// The reason why the search ended.
    #[serde(rename = "ended")]
    pub stop_reason: BatchSizeEnd,
}

/// The reason why a batch size search ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum BatchSizeEnd {
    /// The next size would exceed the largest size to try.
    Largest,
    /// Larger batches were not faster.
    NoFaster,
    /// The memory was insufficient for this size.
    OutOfMemory {
        /// The batch size.
        batch_size: usize,
    },
    /// This size was expected to exceed the memory limit and was not tried.
    MemoryLimit {
        /// The batch size.
        batch_size: usize,
        /// Expected peak memory in bytes, extrapolated from smaller sizes.
        expected: u64,
    },
}

impl fmt::Display for BatchSizeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Largest => write!(f, "the largest size was reached"),
            Self::NoFaster => write!(f, "larger batches are not faster"),
            Self::OutOfMemory { batch_size } => write!(f, "out of memory at batch size {batch_size}"),
            Self::MemoryLimit { batch_size, expected } => {
                let expected = format_bytes(*expected);
                write!(f, "batch size {batch_size} would take about {expected}, which exceeds the limit")
            }
        }
    }
}

impl BatchSizes {
    /// Returns the suggested size: the smallest one within 5 % of the fastest. `None` if not even the first one fits.
    pub fn suggestion(&self) -> Option<usize> {
        let speed = |trial: &BatchSizeTrial| trial.samples_per_second;
        let fastest = self.trials.iter().map(speed).max_by(f64::total_cmp)?;
        let trial = self.trials.iter().find(|trial| speed(trial) * MIN_SPEEDUP >= fastest)?;
        Some(trial.batch_size)
    }
}

impl BatchSizeSearch {
    /// Validates all settings.
    ///
    /// # Errors
    /// A setting is outside its range: the error names it.
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

    /// Runs the search with a custom measurement; an out-of-memory error ends the search.
    ///
    /// # Errors
    /// A setting is outside its range, or `measure` returns any other error.
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
            n_slower = if trial.samples_per_second > MIN_SPEEDUP * fastest { 0 } else { n_slower + 1 };
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
    /// Measures batch sizes with a few updates each, on batches of the loader that `loader` creates for a size. For a
    /// realistic peak memory, these should be the longest batches of the data, and all of the full size.
    ///
    /// Callbacks are not called. Afterwards, weights, optimizer and run are restored, even after an error; gradients are
    /// reset.
    ///
    /// # Errors
    /// A setting is outside its range; a loader, a batch or the model fails for a reason other than insufficient memory; the
    /// search is interrupted.
    pub fn find_batch_size<L: Loader<M::Batch>>(
        &mut self,
        search: &BatchSizeSearch,
        mut loader: impl FnMut(usize) -> faknow_data::Result<L>,
    ) -> Result<BatchSizes> {
        self.run_trial(|trainer| {
            search.run(|batch_size| {
                let location = crate::Location::training(1, 1);
                let loader =
                    loader(batch_size).map_err(|error| Error::from(error).with_location(location))?;
                let trial = trainer.measure(&loader, search.steps)?;
                Ok(BatchSizeTrial { batch_size, ..trial })
            })
        })
    }

    /// Measures `steps` updates after a warm-up update.
    fn measure(&mut self, loader: &dyn Loader<M::Batch>, steps: usize) -> Result<BatchSizeTrial> {
        memory::reset_peak();
        let mut fastest = 0.0;
        self.for_each_window(loader, steps + 1, |trainer, step, window| {
            let n_samples: usize = window.iter().map(|(_, batch)| batch.n_samples()).sum();
            let start = Instant::now();
            trainer.update_once(window, step, true)?;
            if let Device::Cuda(device) = trainer.task.device {
                Cuda::synchronize(device as i64);
            }
            // The first update is a warm-up: it includes one-time setup.
            if step > 0 {
                fastest = f64::max(fastest, n_samples as f64 / start.elapsed().as_secs_f64());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let peak_memory = if self.task.device == Device::Cpu { memory::peak() } else { None };
        Ok(BatchSizeTrial { batch_size: 0, samples_per_second: fastest, peak_memory })
    }
}

/// Returns the expected peak memory for twice the last size, extrapolated linearly; `None` with less than two trials.
fn expected_memory(trials: &[BatchSizeTrial]) -> Option<u64> {
    let [.., before, last] = trials else { return None };
    let (before, last) = (before.peak_memory?, last.peak_memory?);
    Some(last + 2 * last.saturating_sub(before))
}

/// Returns whether an error is one of libtorch's out-of-memory errors.
fn is_out_of_memory(error: &Error) -> bool {
    let message = error.to_string().to_lowercase();
    ["out of memory", "not enough memory", "allocate memory"].iter().any(|text| message.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;

    const MIB: u64 = 1 << 20;

    /// Runs a search with simulated speed and memory; returns the sizes, the stop reason and the suggestion.
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
        let tried_sizes = sizes.trials.iter().map(|trial| trial.batch_size).collect();
        let suggestion = sizes.suggestion();
        (tried_sizes, sizes.stop_reason, suggestion)
    }

    #[test]
    fn sizes_double_until_larger_ones_are_not_faster() {
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
        // A single slower size does not end the search.
        let bump = |n: usize| if n == 32 { 1.0 } else { n as f64 };
        let (sizes, stop_reason, _) = search(plain, bump, |_| None);
        assert_eq!((sizes.len(), stop_reason), (6, BatchSizeEnd::Largest));
        // Growth below 5 % per size does not count; each size is compared to the best so far.
        let slow = |n: usize| 100.0 + 4.0 * (n as f64).log2();
        assert_eq!(search(plain, slow, |_| None), (vec![8, 16, 32], BatchSizeEnd::NoFaster, Some(16)));
        let odd = BatchSizeSearch { min: 3, max: 20, ..plain };
        assert_eq!(search(odd, linear, |_| None).0, [3, 6, 12]);
    }

    #[test]
    fn skips_sizes_above_the_memory_limit() {
        let limited = |limit| BatchSizeSearch { memory_limit: Some(limit), ..BatchSizeSearch::default() };
        let linear = |n: usize| n as f64;
        // 100 MiB plus 1 MiB per sample: 64 samples take 164 MiB.
        let memory = |n: usize| Some((100 + n as u64) * MIB);
        let end = BatchSizeEnd::MemoryLimit { batch_size: 64, expected: 164 * MIB };
        assert_eq!(search(limited(163 * MIB), linear, memory), (vec![8, 16, 32], end, Some(32)));
        let (sizes, _, _) = search(limited(164 * MIB), linear, memory);
        assert_eq!(sizes, [8, 16, 32, 64]);
        // Where the system does not report it, there is no limit.
        assert_eq!(search(limited(1), linear, |_| None).1, BatchSizeEnd::Largest);
    }

    #[test]
    fn only_out_of_memory_errors_end_the_search() {
        let location = Location::training(1, 1);
        let check = |message: &str, is_out_of_memory: bool| {
            let result = BatchSizeSearch::default().run(|batch_size| {
                if batch_size < 32 {
                    let samples_per_second = batch_size as f64;
                    return Ok(BatchSizeTrial { batch_size, samples_per_second, peak_memory: None });
                }
                Err(Error::Panic { location, message: message.to_owned() })
            });
            match result {
                Ok(sizes) => {
                    assert!(is_out_of_memory, "{message}");
                    assert_eq!(sizes.stop_reason, BatchSizeEnd::OutOfMemory { batch_size: 32 });
                    assert_eq!(sizes.suggestion(), Some(16));
                }
                Err(error) => {
                    assert!(!is_out_of_memory, "{message}");
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
    fn suggests_nothing_if_no_size_fits() {
        let error = Error::Panic { location: Location::training(1, 1), message: "CUDA out of memory".into() };
        let mut error = Some(error);
        let sizes = BatchSizeSearch::default().run(|_| Err(error.take().unwrap())).unwrap();
        assert_eq!(
            (sizes.suggestion(), &sizes.stop_reason),
            (None, &BatchSizeEnd::OutOfMemory { batch_size: 8 })
        );
        assert_eq!(sizes.stop_reason.to_string(), "out of memory at batch size 8");
    }

    #[test]
    fn rejects_settings_outside_their_range() {
        let check = |search: BatchSizeSearch, expected: &str| {
            let error = search.run(|_| unreachable!("invalid settings are rejected first")).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let plain = BatchSizeSearch::default();
        check(BatchSizeSearch { min: 0, ..plain }, "min: expected at least 1, got 0");
        check(BatchSizeSearch { max: 7, ..plain }, "max: expected at least `min`, 8, got 7");
        check(BatchSizeSearch { steps: 0, ..plain }, "steps: expected at least 1, got 0");
    }
}
