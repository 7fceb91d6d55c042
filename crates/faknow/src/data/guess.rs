//! Finds the files of a directory, and guesses what their fields mean: for a first try, never for a result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faknow_data::{Format, ReadOptions, RecordReader, read_columns};
use serde_json::Value;

use crate::config::DataConfig;
use crate::{Error, Result};

const TEXTS: [&str; 9] =
    ["text", "tweet", "content", "statement", "post", "post_text", "body", "title", "headline"];
const LABELS: [&str; 6] = ["label", "class", "target", "y", "veracity", "verdict"];
/// Words and numbers for "not fake", which comes first of two classes.
const NEGATIVE: [&str; 8] = ["0", "real", "true", "non-rumor", "nonrumor", "non-fake", "legit", "false"];

/// The data settings for the files in `dir`: `train`, and perhaps `valid` (or `val`, `dev`) and `test`, with any
/// known ending; text and label by the usual names; the classes as they occur.
///
/// # Errors
/// There is no training file, or its columns have no usual names; the error says how to name them.
pub fn guess_data(dir: &Path) -> Result<DataConfig> {
    let train = find(dir, &["train"])?.ok_or_else(|| {
        let message = format!(
            "{}: no training file; expected train.json, train.jsonl, train.csv or train.tsv",
            dir.display()
        );
        Error::config("data.train", message)
    })?;
    let columns = guess_columns(&train, &ReadOptions::default())?;
    let needed = |column: Option<String>, option: &str| {
        column.ok_or_else(|| {
            let all = columns.all.join(", ");
            let message = format!(
                "{}: which column it is cannot be guessed from {all}; use `faknow train` with --{option}",
                train.display()
            );
            Error::config(format!("data.{option}"), message)
        })
    };
    let (text, label) = (needed(columns.text.clone(), "text")?, needed(columns.label.clone(), "label")?);
    let mut data = DataConfig {
        valid: find(dir, &["valid", "val", "dev"])?,
        test: find(dir, &["test"])?,
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

/// Texts that a language is guessed from, and the share of Chinese characters among their letters from which it is
/// Chinese: names and quotes in another script are common in both.
const N_TEXTS: usize = 200;
const CHINESE_FROM: f64 = 0.3;

/// The language of the first texts of the training file: `zh` if many of their letters are Chinese, else `en`.
///
/// # Errors
/// The file cannot be read as `data` says.
pub fn guess_language(data: &DataConfig) -> Result<&'static str> {
    let Some(train) = &data.train else { return Ok("en") };
    let (mut n_letters, mut n_chinese) = (0usize, 0usize);
    for record in RecordReader::open(train, &data.read_options(false), None)?.take(N_TEXTS) {
        let text = record?.text;
        n_letters += text.chars().filter(|c| c.is_alphabetic()).count();
        n_chinese += text.chars().filter(|c| matches!(c, '\u{4e00}'..='\u{9fff}')).count();
    }
    Ok(if n_chinese as f64 > CHINESE_FROM * n_letters as f64 { "zh" } else { "en" })
}

/// The columns of a file, and which of them have the usual names of text and label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuessedColumns {
    /// All names, in order.
    pub all: Vec<String>,
    /// The text: `text`, `tweet`, `content`, `title`, …
    pub text: Option<String>,
    /// The label: `label`, `class`, `target`, …
    pub label: Option<String>,
}

/// Guesses which columns of a file hold text and label, by their names; `options` say how the file is read.
///
/// # Errors
/// The file cannot be read, or is empty.
pub fn guess_columns(path: &Path, options: &ReadOptions) -> Result<GuessedColumns> {
    let all = read_columns(path, options)?;
    let find = |known: &[&str]| {
        known.iter().find_map(|name| all.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned())
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
