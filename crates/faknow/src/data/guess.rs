//! Heuristics for data files and their columns, for a quick start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faknow_data::{Format, ReadOptions, RecordReader, read_columns};
use serde_json::Value;

use crate::config::{DataConfig, DataFiles};
use crate::data::files::FileRecords;
use crate::{Error, Result};

const TEXTS: [&str; 9] =
    ["text", "tweet", "content", "statement", "post", "post_text", "body", "title", "headline"];
const LABELS: [&str; 6] = ["label", "class", "target", "y", "veracity", "verdict"];
/// Label values of the negative class (not fake), which is the first of two classes.
const NEGATIVE: [&str; 8] = ["0", "real", "true", "non-rumor", "nonrumor", "non-fake", "legit", "false"];

/// Guesses the data settings for a directory: the files `train` and optionally `valid` (or `val`, `dev`) and `test` with a
/// supported extension, text and label columns by common names, and the classes that occur.
///
/// # Errors
/// There is no training file, or its columns have no common names; the error says how to set them.
pub fn guess_data(dir: &Path) -> Result<DataConfig> {
    let train = find(dir, &["train"])?.ok_or_else(|| {
        let message = format!(
            "{}: no training file; expected train.json, train.jsonl, train.csv or train.tsv",
            dir.display()
        );
        Error::config("data.train", message)
    })?;
    let columns = guess_columns(&train, &ReadOptions::default())?;
    let required = |column: Option<String>, option: &str| {
        column.ok_or_else(|| {
            let all = columns.all.join(", ");
            let message = format!(
                "{}: cannot guess the {option} column among {all}; use `faknow train` with --{option}",
                train.display()
            );
            Error::config(format!("data.{option}"), message)
        })
    };
    let (text, label) = (required(columns.text.clone(), "text")?, required(columns.label.clone(), "label")?);
    let mut data = DataConfig {
        valid: find(dir, &["valid", "val", "dev"])?.map(DataFiles::from),
        test: find(dir, &["test"])?.map(DataFiles::from),
        text: text.into(),
        label,
        ..DataConfig::default()
    };
    let values = label_values(&train, &data)?;
    let are_indices = values.iter().all(|v| matches!(v.as_str(), "0" | "1"));
    // 0 and 1 are the indices of the default classes.
    if !are_indices {
        data.classes = values;
    }
    data.train = Some(train.into());
    Ok(data)
}

/// Number of texts from which the language is guessed.
const N_TEXTS: usize = 200;
/// Minimum fraction of Chinese characters among the letters of Chinese texts; names and quotes in another script are common
/// in both languages.
const MIN_CHINESE: f64 = 0.3;

/// Guesses the language of the first texts of the training file: `zh` if at least 30 % of their letters are Chinese, else
/// `en`.
///
/// # Errors
/// The file cannot be read with the settings of `data`.
pub fn guess_language(data: &DataConfig) -> Result<&'static str> {
    let Some(train) = &data.train else { return Ok("en") };
    let (mut n_letters, mut n_chinese) = (0usize, 0usize);
    for record in FileRecords::open(train, &data.read_options(false), None)?.take(N_TEXTS) {
        let text = record?.text;
        n_letters += text.chars().filter(|c| c.is_alphabetic()).count();
        n_chinese += text.chars().filter(|c| matches!(c, '\u{4e00}'..='\u{9fff}')).count();
    }
    Ok(if n_chinese as f64 > MIN_CHINESE * n_letters as f64 { "zh" } else { "en" })
}

/// The columns of a file, with the guessed text and label columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuessedColumns {
    /// All column names, in order.
    pub all: Vec<String>,
    /// Text column: `text`, `tweet`, `content`, `title`, …
    pub text: Option<String>,
    /// Label column: `label`, `class`, `target`, …
    pub label: Option<String>,
}

/// Guesses the text and label columns of a file by their names; `options` are those for reading the file.
///
/// # Errors
/// The file cannot be read, or is empty.
pub fn guess_columns(path: &Path, options: &ReadOptions) -> Result<GuessedColumns> {
    let all = read_columns(path, options)?;
    let find = |names: &[&str]| {
        names.iter().find_map(|name| all.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned())
    };
    Ok(GuessedColumns { text: find(&TEXTS), label: find(&LABELS), all })
}

fn find(dir: &Path, names: &[&str]) -> Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths.into_iter().find(|path| {
        let stem = path.file_stem().map(|s| s.to_string_lossy().to_lowercase());
        Format::from_path(path).is_ok() && stem.is_some_and(|stem| names.contains(&stem.as_str()))
    }))
}

/// Returns the distinct label values, those of the negative class first, the others in alphabetical order.
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
