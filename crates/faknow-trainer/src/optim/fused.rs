//! Updates on the CPU in one pass over the memory, with as many threads as libtorch uses.
//!
//! Parameters are split into chunks of a fixed length, so that the results do not depend on the number of threads.

use std::sync::{Mutex, PoisonError};

use super::kernels::{self, Limit, Real};
use super::memory::{Operands, ParameterOperands};
use super::rule::Rule;

/// Number of elements per chunk: the operands of its update fit into the cache of one core.
const CHUNK: usize = 16 * 1024;

/// Number of elements per thread, below which a second thread costs more than it saves.
const SERIAL_BELOW: usize = 128 * 1024;

/// Returns the sum of the squares of all gradients, in f64.
pub(super) fn sum_of_squares<T: Real>(gradients: &[&[T]]) -> f64 {
    let n = gradients.iter().map(|gradient| gradient.len()).sum();
    let chunks = gradients.iter().flat_map(|gradient| gradient.chunks(CHUNK));
    let mut sums: Vec<(&[T], f64)> = chunks.map(|chunk| (chunk, 0.0)).collect();
    for_each(&mut sums, n, |(chunk, sum)| *sum = kernels::sum_of_squares(chunk));
    sums.iter().map(|(_, sum)| sum).sum()
}

/// Updates all parameters, each with its rule.
pub(super) fn update<T: Real>(parameters: Vec<(Rule, ParameterOperands<'_, T>)>, limit: Limit) {
    let n = parameters.iter().map(|(_, all)| all.operands.parameter.len()).sum();
    // The gradient of rows that a sparse gradient does not contain.
    let zeros = match parameters.iter().any(|(_, all)| all.rows.is_some()) {
        true => vec![T::from_f64(0.0); CHUNK],
        false => Vec::new(),
    };
    let mut chunks = Vec::with_capacity(parameters.len() + n / CHUNK);
    for (rule, ParameterOperands { mut operands, rows }) in parameters {
        let mut parts = Vec::new();
        for (length, has_gradient) in runs(&operands, rows) {
            let mut remaining = length;
            while remaining > 0 {
                let n = remaining.min(CHUNK);
                parts.push(split_off(&mut operands, n, (!has_gradient).then_some(&zeros)));
                remaining -= n;
            }
        }
        chunks.extend(group_parts(parts).into_iter().map(|parts| (rule, parts)));
    }
    for_each(&mut chunks, n, |(rule, parts)| {
        parts.iter_mut().for_each(|operands| kernels::update(rule, limit, operands));
    });
}

/// Returns the lengths of the runs of rows with and without a gradient, alternating.
fn runs<T>(operands: &Operands<'_, T>, rows: Option<&[usize]>) -> Vec<(usize, bool)> {
    let n = operands.parameter.len();
    let Some(rows) = rows else { return vec![(n, true)] };
    let row_size = operands.gradient.len().checked_div(rows.len()).unwrap_or(0);
    let mut runs = Vec::with_capacity(2 * rows.len() + 1);
    let mut end = 0;
    for consecutive in rows.chunk_by(|a, b| a + 1 == *b) {
        runs.push((consecutive[0] * row_size - end, false));
        runs.push((consecutive.len() * row_size, true));
        end = (consecutive[0] + consecutive.len()) * row_size;
    }
    runs.push((n - end, false));
    runs
}

/// Groups small parts, so that each unit of work is about one chunk.
fn group_parts<T>(parts: Vec<Operands<'_, T>>) -> Vec<Vec<Operands<'_, T>>> {
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

/// Splits off the first `n` elements; if `zeros` is given, it is their gradient.
fn split_off<'a, T>(rest: &mut Operands<'a, T>, n: usize, zeros: Option<&'a Vec<T>>) -> Operands<'a, T> {
    let split = |slice: &mut &'a mut [T]| match std::mem::take(slice).split_at_mut_checked(n) {
        Some((head, tail)) => {
            *slice = tail;
            head
        }
        // An unused slot is empty.
        None => &mut [],
    };
    let gradient = match zeros {
        Some(zeros) => &zeros[..n],
        None => {
            let (head, tail) = rest.gradient.split_at(n);
            rest.gradient = tail;
            head
        }
    };
    Operands { parameter: split(&mut rest.parameter), gradient, slots: rest.slots.each_mut().map(split) }
}

/// Calls `work` on every item, of `n` elements in total, with several threads if there are enough elements.
fn for_each<I: Send>(items: &mut [I], n: usize, work: impl Fn(&mut I) + Sync) {
    let n_threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).min(n / SERIAL_BELOW + 1);
    if n_threads <= 1 {
        return items.iter_mut().for_each(work);
    }
    // Idle threads take the next item, so that slow threads do not delay the others.
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
