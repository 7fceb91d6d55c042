//! Calls of callbacks whose panics are caught, and their errors with a location.

use std::panic::{AssertUnwindSafe, catch_unwind};

use faknow_data::common::{panic_message, strip_any_frames};

use crate::{BoxError, Callback, Error, HookError, HookResult, Result, Run, StopReason};

/// Returns the result of `call`, with a panic converted into an error.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> HookResult<T>) -> HookResult<T> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(format!("panicked: {}", panic_message(&*panic)).into()))
}

/// Returns the name of a callback, even if `name` panics.
pub(crate) fn name_of(callback: &dyn Callback) -> String {
    catch_unwind(AssertUnwindSafe(|| callback.name().to_owned())).unwrap_or_else(|_| "a callback".to_owned())
}

/// Returns the key of a callback; a panic becomes an error.
pub(crate) fn key_of(callback: &dyn Callback) -> Result<Option<String>> {
    catch_panic(|| Ok(callback.key().map(str::to_owned))).map_err(|error| bare_error(callback, "key", error))
}

/// Returns whether a callback is a log; not if `is_log` panics.
pub(crate) fn is_log(callback: &dyn Callback) -> bool {
    catch_unwind(AssertUnwindSafe(|| callback.is_log())).unwrap_or(false)
}

/// Returns whether a callback only shows something; not if `is_display` panics.
pub(crate) fn is_display(callback: &dyn Callback) -> bool {
    catch_unwind(AssertUnwindSafe(|| callback.is_display())).unwrap_or(false)
}

/// Drops a callback, which may panic again meanwhile.
pub(crate) fn drop_caught(callback: Box<dyn Callback>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(callback)));
}

/// Returns an error of this crate unchanged, and any other with the name of the callback and its location.
pub(crate) fn hook_error(callback: &dyn Callback, hook: &'static str, run: &Run, error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => {
            let (callback, error) = (name_of(callback), strip_any_frames(error));
            Error::Hook(HookError { callback, hook, epoch: run.epoch(), step: run.step(), error })
        }
    }
}

/// Converts an error as [`hook_error`] does, without the location in a run.
pub(crate) fn bare_error(callback: &dyn Callback, hook: &'static str, error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => {
            let (callback, error) = (name_of(callback), strip_any_frames(error));
            Error::Hook(HookError { callback, hook, epoch: 0, step: 0, error })
        }
    }
}

/// Adds the name of the callback to a reason without one.
pub(crate) fn with_name(reason: StopReason, callback: &dyn Callback) -> StopReason {
    match reason {
        StopReason::Callback { callback: name, message } if name.is_empty() => {
            StopReason::Callback { callback: name_of(callback), message }
        }
        reason => reason,
    }
}
