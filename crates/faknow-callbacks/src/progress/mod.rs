//! What a terminal shows of a run.

pub(crate) mod bar;
pub(crate) mod console;
mod pass;
pub(crate) mod writer;
