//! Input samples of a detector, from files or standard input.

use std::io::BufReader;
use std::path::Path;

use anyhow::Result;
use faknow::Detector;
use faknow::config::{DataConfig, DataFiles};
use faknow::data::{Input, is_stream};
use faknow::detector::InputRecords;

use crate::options::RecordOptions;

/// Opens the samples of a file, of standard input for `-`, of a pipe, or of the trees of `trees`; options that do not apply are errors.
pub(crate) fn open(
    detector: &Detector,
    input: Option<&Path>,
    fields: &RecordOptions,
    trees: DataConfig,
) -> Result<InputRecords<'static>> {
    let given = fields.apply(faknow::Config { data: trees, ..faknow::Config::default() })?.data;
    let given = DataConfig { train: input.map(DataFiles::from), ..given };
    detector.check_data(&given)?;
    let data = if detector.has_tree_input() { given } else { fields.apply_to(detector.config())? };
    // Records are classified as they arrive.
    if let Some(path) = input.filter(|path| is_stream(path)) {
        let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
        return Ok(detector.read(Box::new(BufReader::new(Input::stream(path)?)), &name, &data)?);
    }
    Ok(detector.open(&DataConfig { train: input.map(DataFiles::from), ..data })?)
}
