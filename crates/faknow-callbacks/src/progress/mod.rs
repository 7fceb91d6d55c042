//! Progress of a run on the terminal.

pub(crate) mod bar;
pub(crate) mod console;
mod pass;
mod terminal;
pub(crate) mod writer;
