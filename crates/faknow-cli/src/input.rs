//! Input samples of a detector, from files or standard input.

use std::io::BufReader;
use std::path::Path;

use anyhow::Result;
use faknow::Detector;
use faknow::config::{DataConfig, DataFiles, FeatureColumns};
use faknow::data::{Input, is_stream};
use faknow::detector::InputRecords;

use crate::column_options::ColumnOptions;
use crate::options::RecordOptions;

/// Opens the samples of a file, of standard input for `-`, of a pipe, or of the trees of `trees`; options that do not apply are errors.
/// Without `columns`, only the text of records is read.
pub(crate) fn open(
    detector: &Detector,
    input: Option<&Path>,
    fields: &RecordOptions,
    columns: Option<&ColumnOptions>,
    trees: DataConfig,
) -> Result<InputRecords<'static>> {
    let mut given = fields.apply(faknow::Config { data: trees, ..faknow::Config::default() })?.data;
    columns.iter().for_each(|columns| columns.apply(&mut given));
    if given.domain.is_some() && detector.fields().domains.is_none() && !detector.has_tree_input() {
        let message = format!(
            "`{}` does not use domains; results per domain are those of `faknow test`",
            detector.config().model.name
        );
        return Err(faknow::Error::config("data.domain", message).into());
    }
    let given = DataConfig { train: input.map(DataFiles::from), ..given };
    detector.check_data(&given)?;
    let mut data = if detector.has_tree_input() { given } else { fields.apply_to(detector.config())? };
    match columns {
        Some(columns) => columns.apply(&mut data),
        None => {
            data = DataConfig { domain: None, comments: None, features: FeatureColumns::default(), ..data }
        }
    }
    // Records are classified as they arrive.
    if let Some(path) = input.filter(|path| is_stream(path)) {
        let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
        return Ok(detector.read(Box::new(BufReader::new(Input::stream(path)?)), &name, &data)?);
    }
    Ok(detector.open(&DataConfig { train: input.map(DataFiles::from), ..data })?)
}
