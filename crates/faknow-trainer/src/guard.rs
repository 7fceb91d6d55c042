//! Turns panics of libtorch's bindings, and of users' own models and steps, into errors with a place.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Place;
use crate::{Error, Result};

/// Runs `work`; a panic in it becomes [`Error::Panic`] at `place`.
pub(crate) fn guard<T>(place: Place, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("panicked without a message");
        // tch's messages carry libtorch's C++ stack behind the first line.
        let message = message.lines().next().unwrap_or_default().replace("\\n", "\n");
        Err(Error::Panic { place, message: message.lines().next().unwrap_or_default().to_owned() })
    })
}
