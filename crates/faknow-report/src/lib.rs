#![doc = include_str!("../README.md")]

mod chart;
mod comparison;
mod curves;
mod environment;
mod error;
mod facts;
mod format;
mod mistakes;
mod page;
mod quality;
mod rows;
mod run;
mod scores;
mod slices;
mod thresholds;

pub use error::{Error, Result};
pub use facts::{BestEpoch, CALIBRATION, Calibrated, FACTS, Facts, MISTAKES, Mistake, MistakePart};
pub use page::render;
pub use rows::{Judged, TEST_ROWS, VALID_ROWS};
pub use run::{Run, Step};
