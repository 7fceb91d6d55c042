//! The operating system: signals, threads, memory, and the directory of a run.

pub(crate) mod interrupt;
pub(crate) mod memory;
pub(crate) mod run_dir;
pub(crate) mod threads;
