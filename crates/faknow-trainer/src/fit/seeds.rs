//! No hidden randomness: libtorch's generator as a function of (seed, step).

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use faknow_data::derive_seed;
use faknow_model::Model;
use tch::Device;
use tch::nn::{Path, VarStore};

use crate::{Trainer, TrainerBuilder};

/// Seeds libtorch's generators for one step of a run.
///
/// tch can neither save nor restore the generator's state. Seeding it again before each step makes dropout and all
/// other noise of a step a function of the run's seed and the step's number alone.
///
/// The generator is global to the process: another thread may draw from it or seed it meanwhile. Where there is one, use
/// [`with_seed`] or [`seeded_model`], which take turns with it.
pub fn seed_step(seed: u64, step: u64) {
    tch::manual_seed(derive_seed(seed, step) as i64);
}

/// Does `work` with libtorch's generators seeded for one step, undisturbed by other threads that do the same.
///
/// The generators are global to the process: this is how several runs in it leave each other's numbers alone.
pub fn with_seed<T>(seed: u64, step: u64, work: impl FnOnce() -> T) -> T {
    // A step may itself train another model: the thread that holds the lock must not wait for itself.
    let outermost = !HELD.get();
    let lock = outermost.then(|| NOISE.lock().unwrap_or_else(PoisonError::into_inner));
    let held = Held::set(outermost);
    seed_step(seed, step);
    let result = work();
    drop((held, lock));
    result
}

/// Held while a thread draws from libtorch's generators.
static NOISE: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread holds [`NOISE`].
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Notes that this thread holds the lock, also if the work panics.
struct Held(bool);

impl Held {
    fn set(outermost: bool) -> Self {
        HELD.set(true);
        Self(outermost)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0 {
            HELD.set(false);
        }
    }
}

/// Builds a model with libtorch's generators seeded for that, undisturbed by other threads.
pub fn with_model_seed<T>(seed: u64, build: impl FnOnce() -> T) -> T {
    with_seed(seed, u64::MAX, build)
}

/// Builds a model in a store of its own; its initial weights are a function of `seed`, whatever other threads do.
///
/// [`Trainer::seeded`] does the same and seeds the training too.
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
    /// Starts a trainer of a model that is built here, with one seed for its initial weights and for all noise in
    /// training; the order of batches is the loader's (`.shuffle(seed)`, which may be given the same number).
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
    fn threads_with_seeds_of_their_own_do_not_disturb_each_other() {
        let noise = |seed| {
            let draw = |step| with_seed(seed, step, || Tensor::randn([100], tch::kind::FLOAT_CPU));
            (0..50).map(draw).collect::<Vec<_>>()
        };
        let alone = [noise(1), noise(2)];
        let threads = [1, 2].map(|seed| std::thread::spawn(move || noise(seed)));
        assert_eq!(threads.map(|thread| thread.join().unwrap()), alone);
        let nested = with_seed(1, 0, || with_seed(2, 0, || Tensor::randn([4], tch::kind::FLOAT_CPU)));
        assert_eq!(nested.size(), [4]);
    }

    #[test]
    fn a_step_has_the_same_noise_each_time_and_other_noise_than_its_neighbors() {
        let noise = |seed, step| {
            seed_step(seed, step);
            Tensor::randn([4], tch::kind::FLOAT_CPU)
        };
        assert_eq!(noise(1, 5), noise(1, 5));
        assert_ne!(noise(1, 5), noise(1, 6));
        assert_ne!(noise(1, 5), noise(2, 5));
    }
}
