//! Callbacks that write log files into the run directory.

pub(crate) mod csv;
pub(crate) mod jsonl;
pub(crate) mod layer;
pub(crate) mod run_file;
pub(crate) mod run_log;
