//! The first records of a file, and the values of a column of an entire file.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use serde_json::{Map, Value};

use super::Recognition;
use super::labels::RecognizedClasses;
use crate::common::printable_name;
use crate::input::Input;
use crate::records::{Encoding, RawLabel, ReadOptions, Source, open_file, read_start, value_at};
use crate::{Error, Result};

/// Maximum number of bytes that are examined.
const MAX_BYTES: u64 = 1 << 20;
/// Maximum number of records that are examined.
const MAX_RECORDS: usize = 1_000;
/// Depth of nested objects whose values are examined.
const MAX_DEPTH: usize = 3;
/// Maximum number of paths to values.
const MAX_PATHS: usize = 500;
/// Maximum number of distinct label values.
const MAX_LABELS: usize = 20;
/// Maximum number of words of a label.
const MAX_LABEL_WORDS: usize = 4;
/// Maximum length of a label.
const MAX_LABEL_BYTES: usize = 200;
/// Number of distinct values after which reading stops.
const MAX_VALUES: usize = 10_000;
/// Maximum number of label values as a share of the records.
const MAX_LABEL_SHARE: f64 = 0.05;

/// The start of a file.
pub(super) struct Sample {
    pub(super) text: String,
    /// Whether it is the entire file.
    pub(super) is_complete: bool,
}

impl Sample {
    /// Reads the start of a file, up to the last complete line.
    pub(super) fn read(path: &Path, encoding: Option<Encoding>) -> Result<Self> {
        let (text, is_complete) = read_start(path, encoding, MAX_BYTES)?;
        Ok(Self { text, is_complete })
    }

    /// Opens the sample with the recognized layout; it is UTF-8, whatever the encoding of the file.
    fn open(&self, path: &Path, options: &ReadOptions) -> Result<Source> {
        let bytes = Input::from_reader(Cursor::new(self.text.as_bytes().to_vec()));
        let input = bytes.map_err(|error| Error::io(path, error))?;
        Source::new(input, path, &ReadOptions { encoding: None, ..options.clone() })
    }
}

/// The fields of a record.
pub(super) type Fields = Map<String, Value>;

/// Returns the columns and the first records of a sample that was recognized, or of the file if it is not text; broken records
/// are skipped.
pub(super) fn read_records(
    path: &Path,
    sample: Option<&Sample>,
    found: &Recognition,
) -> Result<(Vec<String>, Vec<Fields>)> {
    let options = found.layout_options();
    let is_complete = sample.is_none_or(|sample| sample.is_complete);
    let mut source = match sample {
        Some(sample) => sample.open(path, &options)?,
        None => {
            let (input, _, options) = open_file(path, &options)?;
            Source::new(input, path, &options)?
        }
    };
    source.select(&[], true)?;
    let mut records = Vec::new();
    let mut broken = None;
    while records.len() < MAX_RECORDS {
        match source.next_record() {
            Ok(Some(record)) => records.push(record.fields),
            Ok(None) => break,
            Err(error) if error.is_recoverable => drop(broken.get_or_insert(error.error)),
            Err(_) if !is_complete => break,
            Err(error) if records.is_empty() => return Err(error.error),
            Err(_) => break,
        }
    }
    if records.is_empty() && is_complete {
        return Err(broken.unwrap_or_else(|| source.no_records()));
    }
    let mut columns = source.columns().to_vec();
    // Later JSON objects may have further keys.
    for record in &records {
        add_paths(record, "", 0, &mut columns);
    }
    columns.retain(|name| records.iter().any(|record| !value_at(record, name).is_none_or(Value::is_object)));
    Ok((columns, records))
}

/// Adds the paths of the values of an object, also of nested ones.
fn add_paths(fields: &Map<String, Value>, prefix: &str, depth: usize, paths: &mut Vec<String>) {
    for (name, value) in fields {
        let path = format!("{prefix}{name}");
        match value {
            Value::Object(inner) if depth < MAX_DEPTH && !inner.is_empty() => {
                add_paths(inner, &format!("{path}."), depth + 1, paths);
            }
            _ if paths.len() >= MAX_PATHS || paths.contains(&path) => {}
            _ => paths.push(path),
        }
    }
}

/// Reads the labels of an entire file, and returns the classes that they suggest. Broken records and missing labels are skipped.
///
/// # Errors
/// The file cannot be read or lacks the label column; or the column has too many distinct values for a label.
pub fn recognize_classes(path: impl AsRef<Path>, options: &ReadOptions) -> Result<RecognizedClasses> {
    let path = path.as_ref();
    let Some(column) = &options.columns.label else {
        let expected = "the name of the column that holds the label".into();
        return Err(Error::Setting { name: "columns.label", expected, got: "none".into() });
    };
    let (file, _, options) = open_file(path, options)?;
    let mut source = Source::new(file, path, &options)?;
    let of_label = |mut error: Error| {
        if let Error::MissingColumn { setting, .. } = &mut error {
            *setting = "columns.label";
        }
        error
    };
    source.select(&[column], false).map_err(of_label)?;
    let mut values: BTreeMap<String, usize> = BTreeMap::new();
    let mut long: Option<(usize, String)> = None;
    let mut n_labels = 0;
    loop {
        match source.next_record() {
            Ok(Some(record)) => {
                let Ok(Some(label)) = value_at(&record.fields, column).map_or(Ok(None), RawLabel::from_value)
                else {
                    continue;
                };
                let label = label.to_string();
                n_labels += 1;
                if long.is_none()
                    && (label.split_whitespace().count() > MAX_LABEL_WORDS || label.len() > MAX_LABEL_BYTES)
                {
                    long = Some((record.number, label.clone()));
                }
                *values.entry(label).or_default() += 1;
                // Memory stays bounded, whatever the column contains.
                if values.len() > MAX_VALUES {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) if error.is_recoverable => {}
            Err(error) if n_labels == 0 => return Err(of_label(error.error)),
            Err(_) => break,
        }
    }
    let n_values = values.len();
    if n_values > MAX_LABELS && n_values as f64 > MAX_LABEL_SHARE * n_labels as f64 {
        let message = format!(
            "column `{column}`: expected labels, got {n_values} different values in {n_labels} records; name the column of \
             the label"
        );
        return Err(Error::file(path, message));
    }
    if let Some((number, text)) = long {
        let message = format!(
            "expected a label, got the text `{}`; an unquoted separator may have shifted the row: fix or delete it",
            printable_name(&text)
        );
        return Err(Error::record(path, number, Some(column), message));
    }
    Ok(RecognizedClasses::from_values(values))
}
