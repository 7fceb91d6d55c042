//! Finds the files of a folder, and guesses what their fields mean: for a first try, never for a result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faknow_data::{ColumnMap, Format, ReadOptions, RecordReader};
use serde_json::Value;

use super::DataConfig;
use crate::{Error, Result};

const TEXTS: [&str; 9] = ["text", "tweet", "content", "statement", "post", "post_text", "body", "title", "headline"];
const LABELS: [&str; 6] = ["label", "class", "target", "y", "veracity", "verdict"];
/// Words and numbers for "not fake", which comes first of two classes.
const NEGATIVE: [&str; 8] = ["0", "real", "true", "non-rumor", "nonrumor", "non-fake", "legit", "false"];

/// The data settings for the files in `folder`: `train`, and perhaps `valid` (or `val`, `dev`) and `test`, with any
/// known ending; text and label by the usual names; the classes as they occur.
///
/// # Errors
/// There is no training file, or its columns have no usual names; the error says how to name them.
pub fn guess_data(folder: &Path) -> Result<DataConfig> {
    let train = find(folder, &["train"])?.ok_or_else(|| {
        let message = format!(
            "{}: no training file; expected train.json, train.jsonl, train.csv or train.tsv",
            folder.display()
        );
        Error::config("data.train", message)
    })?;
    let columns = columns(&train)?;
    let column = |known: &[&str], option: &str| {
        known.iter().find_map(|name| columns.iter().find(|c| c.eq_ignore_ascii_case(name)).cloned()).ok_or_else(
            || {
                let message = format!(
                    "{}: which column it is cannot be guessed from {}; use `faknow train` with --{option}",
                    train.display(),
                    columns.join(", ")
                );
                Error::config(format!("data.{option}"), message)
            },
        )
    };
    let (text, label) = (column(&TEXTS, "text")?, column(&LABELS, "label")?);
    let mut data = DataConfig {
        valid: find(folder, &["valid", "val", "dev"])?,
        test: find(folder, &["test"])?,
        text,
        label,
        ..DataConfig::default()
    };
    let values = label_values(&train, &data)?;
    let numbers = values.iter().all(|v| matches!(v.as_str(), "0" | "1"));
    // Class numbers are understood by place: real, fake.
    if !numbers {
        data.classes = values;
    }
    data.train = Some(train);
    Ok(data)
}

fn find(folder: &Path, names: &[&str]) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths.into_iter().find(|path| {
        let stem = path.file_stem().map(|s| s.to_string_lossy().to_lowercase());
        Format::from_path(path).is_ok() && stem.is_some_and(|stem| names.contains(&stem.as_str()))
    }))
}

fn columns(path: &Path) -> Result<Vec<String>> {
    // Any name will do for the text: a wrong one is answered with the right ones, a right one with the columns.
    for name in TEXTS {
        let columns = ColumnMap { text: Some(name.into()), ..ColumnMap::default() };
        let options = ReadOptions { columns, ..ReadOptions::default() };
        if let Ok(reader) = RecordReader::open(path, &options, None) {
            return Ok(reader.columns().to_vec());
        }
    }
    let columns = ColumnMap { text: Some(TEXTS[0].into()), ..ColumnMap::default() };
    Ok(RecordReader::open(path, &ReadOptions { columns, ..ReadOptions::default() }, None)?.columns().to_vec())
}

/// The distinct label values, negative words first, else in alphabetic order.
fn label_values(path: &Path, data: &DataConfig) -> Result<Vec<String>> {
    let mut options = data.read_options(false);
    options.columns.fields = vec![data.label.clone()];
    let mut values = BTreeMap::new();
    for record in RecordReader::open(path, &options, None)? {
        let value = match record?.fields.remove(&data.label) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Null) | None => continue,
            Some(other) => other.to_string(),
        };
        let rank = NEGATIVE.iter().position(|n| value.eq_ignore_ascii_case(n)).unwrap_or(NEGATIVE.len());
        values.insert((rank, value), ());
    }
    Ok(values.into_keys().map(|(_, value)| value).collect())
}
