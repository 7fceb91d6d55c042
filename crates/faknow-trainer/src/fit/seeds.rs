//! No hidden randomness: libtorch's generator as a function of (seed, step).

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use faknow_data::derive_seed;

/// Seeds libtorch's generators for one step of a run.
///
/// tch can neither save nor restore the generator's state. Seeding it anew before each step makes dropout and all
/// other noise of a step a function of the run's seed and the step's number alone.
///
/// The generator is global to the process: where several threads train, use [`with_seed`].
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

/// Held by whoever draws from libtorch's generators.
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

/// Seeds libtorch's generators for building a model.
pub fn seed_model(seed: u64) {
    seed_step(seed, u64::MAX);
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
    fn a_step_has_the_same_noise_each_time_and_other_noise_than_its_neighbours() {
        let noise = |seed, step| {
            seed_step(seed, step);
            Tensor::randn([4], tch::kind::FLOAT_CPU)
        };
        assert_eq!(noise(1, 5), noise(1, 5));
        assert_ne!(noise(1, 5), noise(1, 6));
        assert_ne!(noise(1, 5), noise(2, 5));
    }
}
