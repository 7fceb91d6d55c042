#![doc = include_str!("../README.md")]

mod baseline;
mod chart;
mod checksums;
mod comparison;
mod curves;
mod environment;
mod error;
mod format;
mod mistakes;
mod page;
mod predictions;
mod quality;
mod run;
mod scores;
mod slices;
mod summary;
mod thresholds;

pub use baseline::{BASELINE, Baseline, BaselinePart, BaselineTest};
pub use checksums::{CHECKSUMS, Checksums, read_verified, verify};
pub use error::{Error, Result};
pub use page::render;
pub use predictions::{PredictionTable, TEST_PREDICTIONS, VALID_PREDICTIONS};
pub use run::{HISTORY, Run, Step, check_run_dir};
pub use summary::{BestEpoch, CALIBRATION, Calibrated, MISTAKES, Mistake, MistakePart, RunSummary, SUMMARY};
