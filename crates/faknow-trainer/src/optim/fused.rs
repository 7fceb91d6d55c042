//! Updates on the CPU in one pass over the memory, by as many threads as libtorch computes with.
//!
//! All parameters are cut into chunks of a fixed length, so that neither the sums of the gradients nor the order of
//! anything else depends on the number of threads.

use std::sync::{Mutex, PoisonError};

use super::kernels::{self, Limit, Real};
use super::memory::Operands;
use super::rule::Rule;

/// Numbers of a chunk: what an update of them reads and writes stays in a core's own cache.
const CHUNK: usize = 16 * 1024;

/// Numbers for which waking threads costs more than they save.
const SERIAL_BELOW: usize = 128 * 1024;

/// The sum of the squares of all gradients, in f64.
pub(super) fn sum_of_squares<T: Real>(gradients: &[&[T]]) -> f64 {
    let n = gradients.iter().map(|gradient| gradient.len()).sum();
    let chunks = gradients.iter().flat_map(|gradient| gradient.chunks(CHUNK));
    let mut sums: Vec<(&[T], f64)> = chunks.map(|chunk| (chunk, 0.0)).collect();
    for_each(&mut sums, n, |(chunk, sum)| *sum = kernels::sum_of_squares(chunk));
    sums.iter().map(|(_, sum)| sum).sum()
}

/// Updates all parameters, each by its rule.
pub(super) fn update<T: Real>(parameters: Vec<(Rule, Operands<'_, T>)>, limit: Limit) {
    let n = parameters.iter().map(|(_, operands)| operands.parameter.len()).sum();
    let mut chunks = Vec::with_capacity(parameters.len() + n / CHUNK);
    for (rule, mut rest) in parameters {
        while rest.parameter.len() > CHUNK {
            chunks.push((rule, take_chunk(&mut rest)));
        }
        chunks.push((rule, rest));
    }
    for_each(&mut chunks, n, |(rule, operands)| kernels::update(rule, limit, operands));
}

/// Cuts the first chunk off.
fn take_chunk<'a, T>(rest: &mut Operands<'a, T>) -> Operands<'a, T> {
    let cut = |slice: &mut &'a mut [T]| match std::mem::take(slice).split_at_mut_checked(CHUNK) {
        Some((first, behind)) => {
            *slice = behind;
            first
        }
        // A slot that this optimizer has not.
        None => &mut [],
    };
    let (gradient, behind) = rest.gradient.split_at(CHUNK);
    rest.gradient = behind;
    Operands { parameter: cut(&mut rest.parameter), gradient, slots: rest.slots.each_mut().map(cut) }
}

/// Does `work` on every item, of `n` numbers together, in several threads if that pays.
fn for_each<I: Send>(items: &mut [I], n: usize, work: impl Fn(&mut I) + Sync) {
    let n_threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).min(n / SERIAL_BELOW + 1);
    if n_threads <= 1 {
        return items.iter_mut().for_each(work);
    }
    // Whoever is free takes the next one: threads that wake late, or share their core, hold nobody up.
    let queue = Mutex::new(items.iter_mut());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let drain = || {
        while let Some(item) = next() {
            work(item);
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(|_| drain());
        }
        drain();
    });
}
