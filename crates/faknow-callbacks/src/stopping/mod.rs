//! Callbacks that stop a run.

pub(crate) mod early_stopping;
