//! Panics, signals, threads and memory of the process, and the run directory.

pub(crate) mod guard;
pub(crate) mod interrupt;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod run_dir;
pub(crate) mod signals;
pub(crate) mod threads;
