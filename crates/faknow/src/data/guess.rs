//! Data files of a directory by their names, and the language of texts.

use std::path::{Path, PathBuf};

use faknow_data::Format;

use crate::config::{Config, DataConfig, DataFiles};
use crate::data::files::FileRecords;
use crate::data::layout::LayoutRules;
use crate::{Error, Result};

/// Returns the data settings for a directory: the files `train` and optionally `valid` (or `val`, `dev`) and `test` with a
/// supported extension, and their columns and classes as [`Config::recognize`] finds them.
///
/// # Errors
/// There is no training file, or its columns are not recognized; the error says how to set them.
pub fn guess_data(dir: &Path) -> Result<DataConfig> {
    let train = find(dir, &["train"])?.ok_or_else(|| {
        let message = format!(
            "{}: no training file; expected train.json, train.jsonl, train.csv or train.tsv",
            dir.display()
        );
        Error::config("data.train", message)
    })?;
    let data = DataConfig {
        train: Some(train.into()),
        valid: find(dir, &["valid", "val", "dev"])?.map(DataFiles::from),
        test: find(dir, &["test"])?.map(DataFiles::from),
        ..DataConfig::default()
    };
    let recognized = Config { data, ..Config::default() }.recognize();
    recognized.map(|found| found.config.data).map_err(|error| match error {
        Error::Config { key, message } if key == "data.text" || key == "data.label" => {
            let option = key.replace("data.", "--");
            Error::config(key, format!("{message}, or use `faknow train` with `{option}`"))
        }
        other => other,
    })
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
    for record in FileRecords::open(train, &LayoutRules::new(data, false, data), None)?.take(N_TEXTS) {
        let text = record?.text;
        n_letters += text.chars().filter(|c| c.is_alphabetic()).count();
        n_chinese += text.chars().filter(|c| matches!(c, '\u{4e00}'..='\u{9fff}')).count();
    }
    Ok(if n_chinese as f64 > MIN_CHINESE * n_letters as f64 { "zh" } else { "en" })
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
