//! Callbacks that write files into the run's directory.

pub(crate) mod csv;
pub(crate) mod jsonl;
pub(crate) mod layer;
pub(crate) mod run_file;
pub(crate) mod run_log;
