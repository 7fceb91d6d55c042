//! Callbacks that end a run.

pub(crate) mod early_stopping;
