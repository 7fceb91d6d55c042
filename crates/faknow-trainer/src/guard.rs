//! Turns panics of libtorch's bindings, and of users' own models and steps, into errors with a place.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Place;
use crate::{Error, Result};

/// Runs `work`; a panic in it becomes [`Error::Panic`] at `place`, and errors that know no place get it.
pub(crate) fn guard<T>(place: Place, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("panicked without a message");
        // tch's messages carry libtorch's C++ stack behind the first line.
        let message = message.lines().next().unwrap_or_default().replace("\\n", "\n");
        Err(Error::Panic { place, message: message.lines().next().unwrap_or_default().to_owned() })
    });
    outcome.map_err(|error| match error {
        Error::Torch(source) => Error::Model { place, source: source.into() },
        Error::NonFiniteGradient { place: None, parameter, norm, learning_rate } => {
            Error::NonFiniteGradient { place: Some(place), parameter, norm, learning_rate }
        }
        other => other,
    })
}

/// The batches of `batches`, each with its place; a panic of the loader is an error of the batch that it was to give.
pub(crate) fn guarded<'a, B: 'a>(
    place_of: impl Fn(usize) -> Place + 'a,
    begin: impl FnOnce() -> Box<dyn Iterator<Item = faknow_data::Result<B>> + 'a>,
) -> Result<impl Iterator<Item = Result<(Place, B)>> + 'a> {
    let mut batches = guard(place_of(1), || Ok(begin()))?;
    let mut ended = false;
    Ok((1..).map_while(move |number| {
        let place = place_of(number);
        if ended {
            return None;
        }
        let batch =
            guard(place, || batches.next().transpose().map_err(|source| Error::Data { place, source }));
        // After a failure the iterator may be in any state.
        ended = batch.is_err();
        batch.transpose().map(|batch| batch.map(|batch| (place, batch)))
    }))
}
