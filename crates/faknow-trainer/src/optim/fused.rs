//! Updates on the CPU in one pass over the memory, by as many threads as libtorch computes with.
//!
//! All parameters are cut into chunks of a fixed length, so that neither the sums of the gradients nor the order of
//! anything else depends on the number of threads.

use std::sync::{Mutex, PoisonError};

use super::kernels::{self, Limit, Real};
use super::memory::{Operands, Whole};
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
pub(super) fn update<T: Real>(parameters: Vec<(Rule, Whole<'_, T>)>, limit: Limit) {
    let n = parameters.iter().map(|(_, whole)| whole.operands.parameter.len()).sum();
    // The gradient of rows that it leaves out.
    let zeros = match parameters.iter().any(|(_, whole)| whole.rows.is_some()) {
        true => vec![T::of(0.0); CHUNK],
        false => Vec::new(),
    };
    let mut chunks = Vec::with_capacity(parameters.len() + n / CHUNK);
    for (rule, Whole { mut operands, rows }) in parameters {
        let mut parts = Vec::new();
        for (length, has_gradient) in runs(&operands, rows) {
            let mut rest = length;
            while rest > 0 {
                let n = rest.min(CHUNK);
                parts.push(take(&mut operands, n, (!has_gradient).then_some(&zeros)));
                rest -= n;
            }
        }
        chunks.extend(grouped(parts).into_iter().map(|parts| (rule, parts)));
    }
    for_each(&mut chunks, n, |(rule, parts)| {
        parts.iter_mut().for_each(|operands| kernels::update(rule, limit, operands));
    });
}

/// Lengths of the pieces in which a parameter has a gradient and has none, by turns.
fn runs<T>(operands: &Operands<'_, T>, rows: Option<&[usize]>) -> Vec<(usize, bool)> {
    let n = operands.parameter.len();
    let Some(rows) = rows else { return vec![(n, true)] };
    let row = operands.gradient.len().checked_div(rows.len()).unwrap_or(0);
    let mut runs = Vec::with_capacity(2 * rows.len() + 1);
    let mut end = 0;
    for together in rows.chunk_by(|a, b| a + 1 == *b) {
        runs.push((together[0] * row - end, false));
        runs.push((together.len() * row, true));
        end = (together[0] + together.len()) * row;
    }
    runs.push((n - end, false));
    runs
}

/// Small parts together, so that what a thread takes at a time is about a chunk.
fn grouped<T>(parts: Vec<Operands<'_, T>>) -> Vec<Vec<Operands<'_, T>>> {
    let mut groups = Vec::new();
    let (mut group, mut n) = (Vec::new(), 0);
    for part in parts {
        n += part.parameter.len();
        group.push(part);
        if n >= CHUNK {
            groups.push(std::mem::take(&mut group));
            n = 0;
        }
    }
    groups.push(group);
    groups
}

/// Cuts the first `n` numbers off; their gradient is as much of `zeros` if that is given.
fn take<'a, T>(rest: &mut Operands<'a, T>, n: usize, zeros: Option<&'a Vec<T>>) -> Operands<'a, T> {
    let cut = |slice: &mut &'a mut [T]| match std::mem::take(slice).split_at_mut_checked(n) {
        Some((first, behind)) => {
            *slice = behind;
            first
        }
        // A slot that this optimizer has not.
        None => &mut [],
    };
    let gradient = match zeros {
        Some(zeros) => &zeros[..n],
        None => {
            let (gradient, behind) = rest.gradient.split_at(n);
            rest.gradient = behind;
            gradient
        }
    };
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
