//! Seeding of libtorch's random generators as a function of (seed, step).

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use faknow_data::derive_seed;
use faknow_model::Model;
use tch::Device;
use tch::nn::{Path, VarStore};

use crate::{Trainer, TrainerBuilder};

/// Seeds libtorch's random generators for one step of a run.
///
/// tch can neither save nor restore the state of a generator. Seeding it before each step makes dropout and all other
/// noise of a step a function of the seed of the run and the step number.
///
/// The generators are global to the process. If other threads use them, use [`with_seed`] or [`seeded_model`] instead,
/// which hold a lock.
pub fn seed_step(seed: u64, step: u64) {
    tch::manual_seed(derive_seed(seed, step) as i64);
}

/// Runs `work` with libtorch's random generators seeded for one step, and locks out other calls meanwhile.
///
/// The generators are global to the process: the lock keeps several runs in it reproducible.
pub fn with_seed<T>(seed: u64, step: u64, work: impl FnOnce() -> T) -> T {
    // A step may itself train another model: the thread that holds the lock must not wait for itself.
    let is_outermost = !IS_LOCKED_HERE.get();
    let lock = is_outermost.then(|| GENERATOR_LOCK.lock().unwrap_or_else(PoisonError::into_inner));
    let guard = LockedHere::new(is_outermost);
    seed_step(seed, step);
    let result = work();
    drop((guard, lock));
    result
}

/// Locked while a thread uses libtorch's random generators.
static GENERATOR_LOCK: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread holds [`GENERATOR_LOCK`].
    static IS_LOCKED_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Marks that this thread holds the lock, until it is dropped (also by a panic).
struct LockedHere {
    is_outermost: bool,
}

impl LockedHere {
    fn new(is_outermost: bool) -> Self {
        IS_LOCKED_HERE.set(true);
        Self { is_outermost }
    }
}

impl Drop for LockedHere {
    fn drop(&mut self) {
        if self.is_outermost {
            IS_LOCKED_HERE.set(false);
        }
    }
}

/// Builds a model with libtorch's random generators seeded for its initial weights, and locks out other threads meanwhile.
pub fn with_model_seed<T>(seed: u64, build: impl FnOnce() -> T) -> T {
    with_seed(seed, u64::MAX, build)
}

/// Builds a model in a new `VarStore`; its initial weights are a function of `seed`, independent of other threads.
///
/// [`Trainer::seeded`] does the same and also seeds the training.
///
/// ```
/// use faknow_trainer::seeded_model;
/// use tch::{Device, TchError, nn};
///
/// let weight = |path: &nn::Path<'_>| path.f_randn_standard("weight", &[3]);
/// let (first, _vars) = seeded_model(7, Device::Cpu, weight)?;
/// let (second, _vars) = seeded_model(7, Device::Cpu, weight)?;
/// assert_eq!(first, second);
/// # Ok::<(), TchError>(())
/// ```
///
/// # Errors
/// `build` fails.
pub fn seeded_model<M, E>(
    seed: u64,
    device: Device,
    build: impl FnOnce(&Path<'_>) -> Result<M, E>,
) -> Result<(M, VarStore), E> {
    let vars = VarStore::new(device);
    let model = with_model_seed(seed, || build(&vars.root()))?;
    Ok((model, vars))
}

impl<M: Model> Trainer<M> {
    /// Builds a model and returns the builder of its trainer, with one seed for the initial weights and all noise in
    /// training. The loader determines the order of batches (`.shuffle(seed)`, which may use the same seed).
    ///
    /// ```
    /// # use faknow_model::{TextCnn, TextCnnConfig};
    /// # use faknow_trainer::Trainer;
    /// # use tch::Device;
    /// let config = TextCnnConfig::default();
    /// let trainer = Trainer::seeded(42, Device::Cpu, |path| TextCnn::new(path, &config, 1_000, 2))?.build()?;
    /// # Ok::<(), faknow_trainer::Error>(())
    /// ```
    ///
    /// # Errors
    /// `build` fails.
    pub fn seeded<E>(
        seed: u64,
        device: Device,
        build: impl FnOnce(&Path<'_>) -> Result<M, E>,
    ) -> Result<TrainerBuilder<M>, E> {
        let (model, vars) = seeded_model(seed, device, build)?;
        Ok(Self::builder(model, vars).seed(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn threads_with_different_seeds_are_independent() {
        let noise = |seed| {
            let draw = |step| with_seed(seed, step, || Tensor::randn([100], tch::kind::FLOAT_CPU));
            (0..50).map(draw).collect::<Vec<_>>()
        };
        let sequential = [noise(1), noise(2)];
        let threads = [1, 2].map(|seed| std::thread::spawn(move || noise(seed)));
        assert_eq!(threads.map(|thread| thread.join().unwrap()), sequential);
        let nested = with_seed(1, 0, || with_seed(2, 0, || Tensor::randn([4], tch::kind::FLOAT_CPU)));
        assert_eq!(nested.size(), [4]);
    }

    #[test]
    fn noise_is_a_function_of_seed_and_step() {
        let noise = |seed, step| {
            seed_step(seed, step);
            Tensor::randn([4], tch::kind::FLOAT_CPU)
        };
        assert_eq!(noise(1, 5), noise(1, 5));
        assert_ne!(noise(1, 5), noise(1, 6));
        assert_ne!(noise(1, 5), noise(2, 5));
    }
}
