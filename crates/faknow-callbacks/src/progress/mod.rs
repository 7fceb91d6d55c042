//! Progress of a run on the terminal.

pub(crate) mod bar;
pub(crate) mod console;
mod pass;
pub(crate) mod writer;
