//! The process: panics, signals, threads, memory, and the directory of a run.

pub(crate) mod guard;
pub(crate) mod interrupt;
pub(crate) mod memory;
pub(crate) mod run_dir;
pub(crate) mod threads;
