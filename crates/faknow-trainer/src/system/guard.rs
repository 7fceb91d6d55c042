//! Turns panics of libtorch's bindings, and of users' own models and steps, into errors with a location.

use std::panic::{AssertUnwindSafe, catch_unwind};

use faknow_data::common::panic_message;
use tch::{Tensor, kind, no_grad, no_grad_guard, with_grad};

use crate::error::Location;
use crate::{Error, Result};

/// Whether gradients are recorded in this thread; restored when this is dropped. A panic inside tch's `no_grad` leaves
/// them off otherwise.
pub(crate) struct GradientMode {
    on: bool,
}

impl GradientMode {
    pub(crate) fn keep() -> Self {
        let leaf = Tensor::f_zeros([1], kind::FLOAT_CPU).and_then(|leaf| leaf.f_set_requires_grad(true));
        // tch has no query for it: what is computed from a leaf shows it.
        Self { on: leaf.and_then(|leaf| leaf.f_neg()).map_or(true, |result| result.requires_grad()) }
    }
}

impl Drop for GradientMode {
    fn drop(&mut self) {
        // A guard goes back to the mode that it was made under.
        drop(if self.on { with_grad(no_grad_guard) } else { no_grad(no_grad_guard) });
    }
}

/// Runs `work`; a panic in it becomes [`Error::Panic`] at `location`, and errors without a location get it.
pub(crate) fn guard<T>(location: Location, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error::Panic { location, message: panic_message(&*panic) }))
        .map_err(|error| error.located(location))
}

/// Returns the batches of a loader, each with its location, the first of which is number `first`; a panic of the loader is an
/// error of the batch that it was to give.
pub(crate) fn guarded<'a, B: 'a>(
    first: usize,
    location_of: impl Fn(usize) -> Location + 'a,
    start: impl FnOnce() -> Box<dyn Iterator<Item = faknow_data::Result<B>> + 'a>,
) -> Result<impl Iterator<Item = Result<(Location, B)>> + 'a> {
    let mut batches = guard(location_of(first), || Ok(start()))?;
    let mut ended = false;
    Ok((first..).map_while(move |number| {
        let location = location_of(number);
        if ended {
            return None;
        }
        let batch = guard(location, || Ok(batches.next().transpose()?));
        // After a failure the iterator may be in any state.
        ended = batch.is_err();
        batch.transpose().map(|batch| batch.map(|batch| (location, batch)))
    }))
}
