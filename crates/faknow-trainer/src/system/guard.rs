//! Turns panics of the libtorch bindings and of custom models and steps into errors with a location.

use std::panic::{AssertUnwindSafe, catch_unwind};

use faknow_data::common::panic_message;
use tch::{Tensor, kind, no_grad, no_grad_guard, with_grad};

use crate::error::Location;
use crate::{Error, Result};

/// Restores on drop whether this thread records gradients: a panic inside tch's `no_grad` would leave them off.
pub(crate) struct GradModeGuard {
    is_enabled: bool,
}

impl GradModeGuard {
    pub(crate) fn new() -> Self {
        let leaf = Tensor::f_zeros([1], kind::FLOAT_CPU).and_then(|leaf| leaf.f_set_requires_grad(true));
        // tch cannot query the mode; the result of an operation on a leaf shows it.
        Self { is_enabled: leaf.and_then(|leaf| leaf.f_neg()).map_or(true, |result| result.requires_grad()) }
    }
}

impl Drop for GradModeGuard {
    fn drop(&mut self) {
        // A guard restores the mode under which it was created.
        drop(if self.is_enabled { with_grad(no_grad_guard) } else { no_grad(no_grad_guard) });
    }
}

/// Runs `work`; a panic becomes [`Error::Panic`] at `location`, and errors without a location get this one.
pub(crate) fn guard<T>(location: Location, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error::Panic { location, message: panic_message(&*panic) }))
        .map_err(|error| error.with_location(location))
}

/// Returns the batches of a loader with their locations, numbered from `first`; a panic of the loader becomes an error of
/// the batch that was requested.
pub(crate) fn guarded<'a, B: 'a>(
    first: usize,
    location_of: impl Fn(usize) -> Location + 'a,
    start: impl FnOnce() -> Box<dyn Iterator<Item = faknow_data::Result<B>> + 'a>,
) -> Result<impl Iterator<Item = Result<(Location, B)>> + 'a> {
    let mut batches = guard(location_of(first), || Ok(start()))?;
    let mut is_done = false;
    Ok((first..).map_while(move |number| {
        let location = location_of(number);
        if is_done {
            return None;
        }
        let batch = guard(location, || Ok(batches.next().transpose()?));
        // After a failure the iterator may be in any state.
        is_done = batch.is_err();
        batch.transpose().map(|batch| batch.map(|batch| (location, batch)))
    }))
}
