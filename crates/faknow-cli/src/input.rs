//! Records for a detector, from a file or from standard input.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Result;
use faknow::Detector;
use faknow::data::{Format, ReadOptions, RecordReader};

use crate::options::RecordOptions;

/// Opens the records of a file, or of standard input for `-`, with all of their fields.
pub(crate) fn open(input: &Path, fields: &RecordOptions, detector: &Detector) -> Result<RecordReader> {
    let data = fields.apply_to(detector.config())?;
    let options = ReadOptions { keep_all: true, ..detector.read_options(&data, false) };
    if input != Path::new("-") {
        return Ok(RecordReader::open(input, &options, None)?);
    }
    let options = ReadOptions { format: options.format.or(Some(Format::Jsonl)), ..options };
    let input: Box<dyn BufRead + Send> = Box::new(BufReader::new(std::io::stdin()));
    Ok(RecordReader::from_reader(input, "standard input", &options, None)?)
}
